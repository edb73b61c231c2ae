//! `set list`: the elements of this partition, in order.

use synod_proto::set::v1::{ListRequest, ListResponse};
use synod_types::{Position, PrimitiveKind};

use crate::context::Outcome;
use crate::item::Item;
use crate::scan::List;

impl List for ListRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Chunk = ListResponse;

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn start(position: Position) -> ListResponse {
        ListResponse { elements: Vec::new(), position: position.get() }
    }

    fn push(chunk: &mut ListResponse, element: Vec<u8>, _: Item) -> Outcome<()> {
        chunk.elements.push(super::text(element)?);
        Ok(())
    }
}
