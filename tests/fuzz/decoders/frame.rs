//! A frame of a client, with its commands and queries, against the state of a partition.
//!
//! Promise: what is refused has changed nothing, and what reads changes nothing.

use prost::Message as _;
use synod_primitives::{Environment, Placement, apply, query, scan};
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as Question;
use synod_proto::primitive::v1::{Command, Create, Delete, Query, Scan};
use synod_proto::session::v1::request::Body;
use synod_proto::session::v1::{self as session, ClientFrame, Consistency, Hello, Propose, Request};
use synod_proto::{counter, election, lock, map, set, value};
use synod_storage::state::{MemoryStore, StateRead as _, StateStore as _};
use synod_types::{
    Index, Limits, LogTime, PartitionId, Position, PrimitiveId, PrimitiveKind, SessionId, SlotTable,
};

/// Whether the bytes are a frame, of which every command, query and scan can be read.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(frame) = ClientFrame::decode(bytes) else { return false };
    let mut partition = Partition::new();
    for creation in creations() {
        partition.write(&creation);
    }
    let mut all = true;
    for request in frame.requests {
        all &= match request.body {
            Some(Body::Propose(propose)) => partition.write(&propose.command),
            Some(Body::Query(query)) => partition.read(&query.query),
            Some(Body::Scan(scan)) => partition.scan(&scan.scan),
            Some(_) => true,
            None => false,
        };
    }
    all
}

struct Partition {
    store: MemoryStore,
    replicated: Replicated,
}

/// What all commands share.
struct Replicated {
    limits: Limits,
    placement: Placement,
    index: u64,
}

impl Replicated {
    fn environment(&self) -> Environment<'_> {
        Environment {
            limits: &self.limits,
            placement: &self.placement,
            index: Index(self.index),
            position: Position(self.index),
            now: LogTime(1_000 + self.index),
            leader_since: LogTime(0),
            session: SessionId(1),
        }
    }
}

impl Partition {
    fn new() -> Self {
        let placement = Placement { partition: PartitionId(0), slots: SlotTable::new(1).unwrap() };
        Self {
            store: MemoryStore::default(),
            replicated: Replicated { limits: Limits::default(), placement, index: 0 },
        }
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let Ok(command) = Command::decode(bytes) else { return false };
        self.replicated.index += 1;
        let (before, mut changes) = (self.store.hash(), Vec::new());
        let answer = apply(&mut self.store, self.replicated.environment(), command, &mut changes).unwrap();
        if answer.is_err() {
            assert!(changes.is_empty());
            assert_eq!(self.store.hash(), before);
        }
        self.store.commit().unwrap();
        true
    }

    fn read(&self, bytes: &[u8]) -> bool {
        let Ok(question) = Query::decode(bytes) else { return false };
        let first = query(&self.store, self.replicated.environment(), &question).unwrap();
        assert_eq!(first, query(&self.store, self.replicated.environment(), &question).unwrap());
        true
    }

    fn scan(&self, bytes: &[u8]) -> bool {
        let Ok(wanted) = Scan::decode(bytes) else { return false };
        if let Ok(mut chunks) = scan(self.store.snapshot(), self.replicated.environment(), &wanted).unwrap() {
            while chunks.next_chunk().unwrap().is_some() {}
        }
        true
    }
}

fn id(kind: PrimitiveKind) -> u64 {
    PrimitiveId::of("default", kind, kind.as_str()).get()
}

fn encoded(kind: PrimitiveKind, operation: Operation) -> Vec<u8> {
    Command { primitive: id(kind), operation: Some(operation) }.encode_to_vec()
}

/// Commands that create one primitive of each kind.
pub fn creations() -> Vec<Vec<u8>> {
    let create = |kind: PrimitiveKind| {
        let create =
            Create { application: "default".into(), kind: kind.number(), name: kind.as_str().into() };
        encoded(kind, Operation::Create(create))
    };
    PrimitiveKind::ALL.into_iter().map(create).collect()
}

/// Commands that use them.
pub fn commands() -> Vec<Vec<u8>> {
    use PrimitiveKind::{Counter, Election, Lock, Map, Set, Value};
    use map::v1::transact_request::{self, operation::Operation as Part};
    let put = |key: &str| map::v1::PutRequest {
        key: key.into(),
        value: b"value".as_slice().into(),
        ttl_ms: Some(500),
        ..Default::default()
    };
    let part = |part| transact_request::Operation { operation: Some(part) };
    let check = map::v1::CheckRequest { key: "absent".into(), expected_version: 0 };
    let transaction = map::v1::TransactRequest {
        primitive: None,
        operations: vec![part(Part::Check(check)), part(Part::Put(put("b"))), part(Part::Put(put("c")))],
    };
    let acquire = |request_id: u8| lock::v1::AcquireRequest {
        request_id: format!("request-{request_id}"),
        ..Default::default()
    };
    let enter = election::v1::EnterRequest { candidate: "node-1".into(), ..Default::default() };
    let all = [
        (
            Counter,
            Operation::CounterIncrement(counter::v1::IncrementRequest { delta: 5, ..Default::default() }),
        ),
        (Counter, Operation::CounterSet(counter::v1::SetRequest { value: i64::MAX, ..Default::default() })),
        (
            Counter,
            Operation::CounterIncrement(counter::v1::IncrementRequest { delta: 1, ..Default::default() }),
        ),
        (
            Value,
            Operation::ValueSet(value::v1::SetRequest {
                value: b"v".as_slice().into(),
                ..Default::default()
            }),
        ),
        (Map, Operation::MapPut(put("a"))),
        (Map, Operation::MapTransact(transaction)),
        (Map, Operation::MapClear(map::v1::ClearRequest::default())),
        (Set, Operation::SetAdd(set::v1::AddRequest { element: "e".into(), ..Default::default() })),
        (Lock, Operation::LockAcquire(acquire(1))),
        (Lock, Operation::LockAcquire(acquire(2))),
        (Election, Operation::ElectionEnter(enter)),
        (Set, Operation::Delete(Delete {})),
    ];
    all.into_iter().map(|(kind, operation)| encoded(kind, operation)).collect()
}

/// A greeting with the commands; queries and a scan; the rest of what a session does.
pub fn seeds() -> Vec<Vec<u8>> {
    let request = |(tag, body)| Request { tag: tag as u64, body: Some(body) };
    let frame = |bodies: Vec<Body>| ClientFrame {
        hello: Some(Hello { group: "default/sample".into(), ..Hello::default() }),
        requests: bodies.into_iter().enumerate().map(request).collect(),
    };
    let propose = |(number, command): (usize, Vec<u8>)| {
        let sequence = number as u64 + 1;
        Body::Propose(Propose { session_id: 1, sequence, acknowledged: 0, command: command.into() })
    };
    let ask = |kind, question| {
        let query = Query { primitive: id(kind), operation: Some(question) }.encode_to_vec().into();
        Body::Query(session::Query { consistency: Consistency::Linearizable.into(), seen_index: 0, query })
    };
    let list = synod_proto::primitive::v1::scan::Operation::MapList(map::v1::ListRequest::default());
    let scan = Scan { primitive: id(PrimitiveKind::Map), operation: Some(list) }.encode_to_vec().into();
    let questions = vec![
        ask(PrimitiveKind::Counter, Question::CounterGet(counter::v1::GetRequest::default())),
        ask(
            PrimitiveKind::Map,
            Question::MapGet(map::v1::GetRequest { key: "a".into(), ..Default::default() }),
        ),
        Body::Scan(session::Scan { consistency: Consistency::Sequential.into(), seen_index: 3, scan }),
    ];
    let others = vec![
        Body::Open(session::Open { timeout_ms: 5_000, client: "fuzz".into() }),
        Body::KeepAlive(session::KeepAlive { session_id: 1 }),
        Body::Watch(session::Watch {
            primitive: id(PrimitiveKind::Map),
            after_position: 3,
            ..Default::default()
        }),
        Body::CancelWatch(session::CancelWatch { watch: 2 }),
        Body::Close(session::Close { session_id: 1 }),
    ];
    let proposals = commands().into_iter().enumerate().map(propose).collect();
    [frame(proposals), frame(questions), frame(others)].iter().map(ClientFrame::encode_to_vec).collect()
}
