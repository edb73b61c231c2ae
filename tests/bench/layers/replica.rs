//! A replica that is alone in its partition, whose disk takes no time.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::Placement;
use synod_proto::map::v1::PutRequest;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, Create};
use synod_proto::session::v1::{Open, Propose, Request, reply, request};
use synod_proto::types::v1::Member;
use synod_protocol::Role;
use synod_protocol::raft::{self, Raft, Start};
use synod_replica::machine::Machine;
use synod_replica::{ClientId, Configuration, Effect, Genesis, History, Input, Options, Replica};
use synod_storage::state::MemoryStore;
use synod_types::{Limits, LogTime, MemberId, Monotonic, PartitionId, PrimitiveId, PrimitiveKind, SlotTable};

const CLIENT: ClientId = 1;

/// The log in memory is cut when this much was answered.
const TAIL_REPLIES: u64 = 1_000;

/// The partition, its map, and a session.
pub(crate) struct Partition {
    replica: Replica,
    now: Monotonic,
    pub(crate) map: PrimitiveId,
    pub(crate) session: u64,
    tag: u64,
    /// How many events were handed out.
    pub(crate) events: usize,
}

impl Partition {
    pub(crate) fn new() -> Self {
        let now = Monotonic::from_nanos(1);
        let slots = SlotTable::new(1).unwrap();
        let genesis = Genesis {
            configuration: Configuration {
                group: "default/bench".into(),
                limits: Limits::default(),
                placement: Placement { partition: PartitionId(0), slots },
                born: LogTime(1_000_000),
            },
            members: vec![Member { id: 1, node: "node-0".into(), ..Member::default() }],
        };
        let mut store = MemoryStore::default();
        genesis.write(&mut store).unwrap();
        let start = Start { snapshot: genesis.metadata(), ..Start::default() };
        let protocol = Raft::new(now, MemberId(1), raft::Options::default(), start).unwrap();
        let machine = Machine::load(Box::new(store), History::default()).unwrap();
        let options = Options::default();
        let snapshot = genesis.metadata();
        let replica = Replica::new(now, MemberId(1), options, Box::new(protocol), machine, snapshot, 0);
        let map = PrimitiveId::of("default", PrimitiveKind::Map, "bench");
        let mut partition = Self { replica, now, map, session: 0, tag: 0, events: 0 };
        while partition.replica.standing().role != Role::Leader {
            partition.now = partition.replica.deadline();
            partition.flush();
        }
        partition.furnish();
        partition
    }

    fn furnish(&mut self) {
        let open = Open { timeout_ms: 86_400_000, client: String::new() };
        let Some(reply::Body::Opened(opened)) = self.call(request::Body::Open(open)) else {
            panic!("no session is opened");
        };
        self.session = opened.session_id;
        let kind = PrimitiveKind::Map.number();
        let create = Create { application: "default".into(), kind, name: "bench".into() };
        self.propose(0, Operation::Create(create));
    }

    /// Asks, and returns the answer, if it came at once.
    pub(crate) fn call(&mut self, body: request::Body) -> Option<reply::Body> {
        self.tag += 1;
        let request = Request { tag: self.tag, body: Some(body) };
        self.now = self.now + Duration::from_nanos(1);
        self.replica.handle(self.now, Input::Request(CLIENT, request));
        self.flush()
    }

    /// Writes under a sequence of the session; 0 is for writes without one.
    pub(crate) fn propose(&mut self, sequence: u64, operation: Operation) -> Bytes {
        let command = Command { primitive: self.map.get(), operation: Some(operation) };
        let propose = Propose {
            session_id: if sequence == 0 { 0 } else { self.session },
            sequence,
            acknowledged: sequence.saturating_sub(1),
            command: command.encode_to_vec().into(),
        };
        match self.call(request::Body::Propose(propose)) {
            Some(reply::Body::Result(result)) => result,
            other => panic!("not the result of a write: {other:?}"),
        }
    }

    fn flush(&mut self) -> Option<reply::Body> {
        let mut answer = None;
        loop {
            let effects = self.replica.flush(self.now);
            if effects.is_empty() {
                return answer;
            }
            for effect in effects {
                answer = self.carry_out(effect).or(answer);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<reply::Body> {
        match effect {
            Effect::Persist(persist) => self.replica.handle(self.now, Input::Persisted(persist.token)),
            Effect::Reply { body, .. } => return Some(body),
            Effect::Deliver { client, events, .. } => {
                self.events += events.len();
                let bytes = events.iter().map(Bytes::len).sum();
                self.replica.handle(self.now, Input::EventsSent(client, bytes));
            }
            Effect::SaveSnapshot(job) => {
                let saved = Input::SnapshotSaved(job.metadata, Ok(TAIL_REPLIES));
                self.replica.handle(self.now, saved);
            }
            Effect::Failed(error) => panic!("{error}"),
            _ => {}
        }
        None
    }
}

/// A put of a value of 256 bytes.
pub(crate) fn put(key: String) -> Operation {
    let value = Bytes::from_static(&[7; 256]);
    Operation::MapPut(PutRequest { key, value, ..Default::default() })
}
