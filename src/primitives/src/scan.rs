//! Scans, which read many items as of one moment, chunk by chunk from a snapshot.

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::Scan;
use synod_proto::primitive::v1::scan::Operation;
use synod_storage::state::{Fault, KeyRange, StateRead, StateSnapshot, Table};
use synod_types::{Error, ErrorCode, Position, PrimitiveId, PrimitiveKind};

use crate::context::{Environment, Failure, Outcome};
use crate::item::Item;
use crate::keys::{self, Record};
use crate::registry;

/// A chunk takes no more items once it has this many.
const CHUNK_ITEMS: usize = 1_000;
/// Nor does it take one with which it would hold more than this many bytes, unless it is the first.
const CHUNK_BYTES: usize = 65_536;

/// A listing of one kind of primitive: the request message, made executable.
pub(crate) trait List {
    /// The kind it is for.
    const KIND: PrimitiveKind;
    /// What it is answered with, again and again.
    type Chunk: Message;

    /// What the keys have to start with.
    fn prefix(&self) -> &str;

    /// A chunk without items.
    fn start(position: Position) -> Self::Chunk;

    /// Adds an item to a chunk.
    fn push(chunk: &mut Self::Chunk, key: Vec<u8>, item: Item) -> Outcome<()>;
}

/// Checks a scan and prepares to read it chunk by chunk from a snapshot, which may happen on any thread.
///
/// `environment` is that of the moment at which the snapshot was taken. An item whose TTL is over is there until its
/// timer has fired, as for every other reader.
///
/// # Errors
/// The inner error is the result of the scan: the primitive does not exist, is of another kind, or the scan is not
/// known. [`Fault`] when the snapshot cannot be read.
pub fn scan(
    snapshot: Box<dyn StateSnapshot>,
    environment: Environment<'_>,
    scan: &Scan,
) -> Result<Result<ScanChunks, Error>, Fault> {
    let primitive = PrimitiveId(scan.primitive);
    let started = match &scan.operation {
        Some(Operation::MapList(request)) => start(snapshot, &environment, primitive, request),
        Some(Operation::SetList(request)) => start(snapshot, &environment, primitive, request),
        None => {
            Err(Failure::rejected(ErrorCode::NotSupported, "this version of Synod does not know the scan"))
        }
    };
    match started {
        Ok(chunks) => Ok(Ok(chunks)),
        Err(Failure::Rejected(error)) => Ok(Err(error)),
        Err(Failure::Fault(fault)) => Err(fault),
    }
}

fn start<L: List>(
    snapshot: Box<dyn StateSnapshot>,
    environment: &Environment<'_>,
    primitive: PrimitiveId,
    request: &L,
) -> Outcome<ScanChunks> {
    registry::expect(&*snapshot, primitive, L::KIND)?;
    Ok(ScanChunks {
        rest: Some(keys::data_range(primitive, Record::Item, request.prefix().as_bytes())),
        position: environment.position,
        read: read::<L>,
        snapshot,
    })
}

/// An encoded chunk, and what is left to read.
type Chunk = (Bytes, Option<KeyRange>);

/// A scan in progress. It keeps its snapshot alive.
pub struct ScanChunks {
    snapshot: Box<dyn StateSnapshot>,
    /// What was not read yet; none at the end.
    rest: Option<KeyRange>,
    position: Position,
    read: fn(&dyn StateRead, KeyRange, Position) -> Outcome<Chunk>,
}

impl ScanChunks {
    /// The next chunk, which is an encoded response message; none after the last. There is at least one, which is
    /// empty if there are no items. All but a chunk with one great item are at most 64 KiB of keys and values.
    ///
    /// # Errors
    /// [`Fault`] when the snapshot cannot be read.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(range) = self.rest.take() else {
            return Ok(None);
        };
        match (self.read)(&*self.snapshot, range, self.position) {
            Ok((chunk, rest)) => {
                self.rest = rest;
                Ok(Some(chunk))
            }
            Err(Failure::Fault(fault)) => Err(fault),
            Err(Failure::Rejected(error)) => Err(Fault(format!("a scan was refused on its way: {error}"))),
        }
    }

    /// Whether the chunk that was returned last is the last one.
    pub const fn is_done(&self) -> bool {
        self.rest.is_none()
    }
}

/// Reads one chunk.
fn read<L: List>(store: &dyn StateRead, range: KeyRange, position: Position) -> Outcome<Chunk> {
    let mut chunk = L::start(position);
    let (mut items, mut bytes) = (0, 0);
    let mut rest = None;
    for pair in store.scan(Table::Data, range.clone()) {
        let (key, stored) = pair?;
        bytes += key.len() + stored.len();
        if items == CHUNK_ITEMS || (items > 0 && bytes > CHUNK_BYTES) {
            rest = Some(range.starting_at(&*key));
            break;
        }
        items += 1;
        let item = Item::decode(Bytes::from_owner(stored))?;
        L::push(&mut chunk, keys::own_key(&key).to_vec(), item)?;
    }
    Ok((chunk.encode_to_vec().into(), rest))
}

#[cfg(test)]
mod tests {
    use synod_proto::map::v1::{ListRequest, ListResponse, PutRequest, PutResponse};
    use synod_proto::primitive::v1::command::Operation as Command;
    use synod_storage::state::StateStore as _;

    use super::*;
    use crate::testing::Machine;

    fn filled(keys: impl IntoIterator<Item = String>, value_bytes: usize) -> (Machine, PrimitiveId) {
        let mut machine = Machine::new();
        let map = machine.create(PrimitiveKind::Map, "m");
        for key in keys {
            let request = PutRequest { key, value: vec![7; value_bytes].into(), ..Default::default() };
            let _: PutResponse = machine.apply(map, Command::MapPut(request)).unwrap();
        }
        (machine, map)
    }

    fn start(machine: &Machine, map: PrimitiveId, prefix: &str) -> ScanChunks {
        let request = Scan {
            primitive: map.get(),
            operation: Some(Operation::MapList(ListRequest { prefix: prefix.into(), ..Default::default() })),
        };
        scan(machine.store.snapshot(), machine.environment(), &request).unwrap().unwrap()
    }

    fn read_all(mut chunks: ScanChunks) -> Vec<ListResponse> {
        let mut read = Vec::new();
        while let Some(chunk) = chunks.next_chunk().unwrap() {
            read.push(ListResponse::decode(chunk).unwrap());
        }
        read
    }

    fn keys(chunks: &[ListResponse]) -> Vec<&str> {
        let entries = chunks.iter().flat_map(|chunk| &chunk.entries);
        entries.map(|entry| entry.key.as_str()).collect()
    }

    #[test]
    fn all_items_come_once_in_key_order_in_bounded_chunks() {
        let mut expected: Vec<_> = (0..2_500).map(|number| format!("k{number}")).collect();
        let (machine, map) = filled(expected.clone(), 10);
        expected.sort();
        let chunks = read_all(start(&machine, map, ""));
        assert_eq!(keys(&chunks), expected);
        let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.entries.len()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        let position = machine.environment().position.get();
        assert!(position == 2_500 && chunks.iter().all(|chunk| chunk.position == position));
    }

    #[test]
    fn a_chunk_is_bounded_in_bytes_but_takes_one_great_item() {
        for (value_bytes, items_a_chunk) in [(30_000, 2), (100_000, 1)] {
            let (machine, map) = filled((0..4).map(|number| number.to_string()), value_bytes);
            let chunks = read_all(start(&machine, map, ""));
            assert_eq!(keys(&chunks), ["0", "1", "2", "3"]);
            assert!(chunks.iter().all(|chunk| chunk.entries.len() == items_a_chunk));
        }
    }

    #[test]
    fn the_last_chunk_is_known_to_be_the_last() {
        let (machine, map) = filled((0..1_000).map(|number| number.to_string()), 1);
        let mut chunks = start(&machine, map, "");
        assert!(!chunks.is_done());
        chunks.next_chunk().unwrap().unwrap();
        assert!(chunks.is_done());
    }

    #[test]
    fn a_prefix_narrows_it_and_nothing_is_one_empty_chunk() {
        let (machine, map) = filled(["a", "ab", "abc", "b"].map(String::from), 1);
        assert_eq!(keys(&read_all(start(&machine, map, "ab"))), ["ab", "abc"]);
        let nothing = read_all(start(&machine, map, "x"));
        assert_eq!((nothing.len(), keys(&nothing).len()), (1, 0));
    }

    #[test]
    fn it_sees_the_moment_at_which_it_was_started_and_may_be_read_on_any_thread() {
        let (mut machine, map) = filled(["a", "b"].map(String::from), 1);
        let chunks = start(&machine, map, "");
        let clear = Command::MapClear(synod_proto::map::v1::ClearRequest::default());
        let _: synod_proto::map::v1::ClearResponse = machine.apply(map, clear).unwrap();
        fn sent<T: Send>(value: T) -> T {
            value
        }
        assert_eq!(keys(&read_all(sent(chunks))), ["a", "b"]);
    }

    #[test]
    fn it_is_for_one_kind_that_exists() {
        let mut machine = Machine::new();
        let set = machine.create(PrimitiveKind::Set, "s");
        for (primitive, code) in [(set, ErrorCode::Invalid), (PrimitiveId(1), ErrorCode::UnknownPrimitive)] {
            let request = Scan {
                primitive: primitive.get(),
                operation: Some(Operation::MapList(ListRequest::default())),
            };
            let refused = scan(machine.store.snapshot(), machine.environment(), &request).unwrap();
            assert_eq!(refused.err().map(|error| error.code()), Some(code));
        }
        let unknown = scan(machine.store.snapshot(), machine.environment(), &Scan::default()).unwrap();
        assert_eq!(unknown.err().map(|error| error.code()), Some(ErrorCode::NotSupported));
    }
}
