//! `map list`: the entries of this partition, in the order of the keys.

use synod_proto::map::v1::{Entry, ListRequest, ListResponse};
use synod_types::{Position, PrimitiveKind};

use crate::context::Outcome;
use crate::item::Item;
use crate::scan::List;

impl List for ListRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Chunk = ListResponse;

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn start(position: Position) -> ListResponse {
        ListResponse { entries: Vec::new(), position: position.get() }
    }

    fn push(chunk: &mut ListResponse, key: Vec<u8>, item: Item) -> Outcome<()> {
        chunk.entries.push(Entry { key: super::text(key)?, value: item.value, version: item.version.get() });
        Ok(())
    }
}
