//! A partition of one member in one thread: what a replica owes its clients. Groups of several members run in the
//! simulator.

mod leadership;
mod reads;
mod sessions;
mod snapshots;
mod watches;
mod writes;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::Placement;
use synod_proto::counter::v1 as counter;
use synod_proto::lock::v1 as lock;
use synod_proto::log::v1::Batch;
use synod_proto::map::v1 as map;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, Create, Event, Query, query};
use synod_proto::session::v1::{
    CancelWatch, Close, Consistency, KeepAlive, Open, Propose, Request, Watch, reply, request, watch,
};
use synod_proto::types::v1::Member;
use synod_protocol::raft::{self, Raft, Start};
use synod_protocol::{Persist, SnapshotMetadata};
use synod_storage::state::{MemoryStore, StateStore, Table};
use synod_types::{
    ErrorCode, Index, Limits, LogTime, MemberId, Monotonic, PartitionId, Position, PrimitiveId,
    PrimitiveKind, SlotTable,
};

use crate::event::{ClientId, Effect, Input, Options, SnapshotJob, Tag};
use crate::machine::Machine;
use crate::{Admin, Configuration, Genesis, History, Replica};

const MEMBER: MemberId = MemberId(1);
const CLIENT: ClientId = 10;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One replica, its disk, and what its clients were sent.
struct Partition {
    replica: Replica,
    now: Monotonic,
    /// Writes that are not durable yet.
    writes: Vec<Persist>,
    /// Whether writes become durable at once.
    disk_works: bool,
    replies: BTreeMap<(ClientId, Tag), Vec<(Index, reply::Body)>>,
    events: BTreeMap<(ClientId, Tag), Vec<Event>>,
    positions: BTreeMap<(ClientId, Tag), Position>,
    unsent_bytes: BTreeMap<ClientId, usize>,
    /// Whether clients take events off the wire.
    clients_read: bool,
    snapshots: Vec<SnapshotJob>,
    admin_replies: BTreeMap<u64, Result<u64, ErrorCode>>,
    failed: Option<String>,
    last_tag: Tag,
}

fn genesis(limits: Limits) -> Genesis {
    let slots = SlotTable::new(1).unwrap();
    Genesis {
        configuration: Configuration {
            group: "default/sample".into(),
            limits,
            placement: Placement { partition: PartitionId(0), slots },
            born: LogTime(1_000_000),
        },
        members: vec![Member { id: MEMBER.get(), node: "node-0".into(), ..Member::default() }],
    }
}

impl Partition {
    fn new() -> Self {
        Self::with(Limits::default(), Options::default())
    }

    fn with(limits: Limits, options: Options) -> Self {
        let genesis = genesis(limits);
        let mut store = MemoryStore::default();
        genesis.write(&mut store).unwrap();
        Self::start(Box::new(store), History::default(), genesis.metadata(), options)
    }

    /// Starts a replica from a snapshot and lets it be elected.
    fn start(
        store: Box<dyn StateStore>,
        history: History,
        snapshot: SnapshotMetadata,
        options: Options,
    ) -> Self {
        let now = Monotonic::from_nanos(1);
        let start = Start { snapshot: snapshot.clone(), ..Start::default() };
        let protocol = Raft::new(now, MEMBER, raft::Options::default(), start).unwrap();
        let machine = Machine::load(store, history).unwrap();
        let replica = Replica::new(now, MEMBER, options, Box::new(protocol), machine, snapshot, 0);
        let mut partition = Self {
            replica,
            now,
            writes: Vec::new(),
            disk_works: true,
            replies: BTreeMap::new(),
            events: BTreeMap::new(),
            positions: BTreeMap::new(),
            unsent_bytes: BTreeMap::new(),
            clients_read: true,
            snapshots: Vec::new(),
            admin_replies: BTreeMap::new(),
            failed: None,
            last_tag: 0,
        };
        while partition.replica.leading.is_none() {
            assert!(partition.now.since(now) < ms(5_000), "a single member elects itself");
            partition.run(ms(1));
        }
        partition
    }

    /// Lets time pass, as the driver of a live process would: never long without a call.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.replica.deadline().max(self.now + ms(1)).min(end);
            self.flush();
        }
    }

    fn input(&mut self, input: Input) {
        self.replica.handle(self.now, input);
        self.flush();
    }

    fn flush(&mut self) {
        loop {
            let effects = self.replica.flush(self.now);
            if effects.is_empty() && (self.writes.is_empty() || !self.disk_works) {
                return;
            }
            for effect in effects {
                self.carry_out(effect);
            }
            if self.disk_works {
                for write in std::mem::take(&mut self.writes) {
                    self.replica.handle(self.now, Input::Persisted(write.token));
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(persist) => self.writes.push(persist),
            Effect::Reply { client, tag, index, body } => {
                self.replies.entry((client, tag)).or_default().push((index, body));
            }
            Effect::Deliver { client, tag, events, position } => {
                let bytes: usize = events.iter().map(Bytes::len).sum();
                let decoded = events.into_iter().map(|event| Event::decode(event).unwrap());
                self.events.entry((client, tag)).or_default().extend(decoded);
                self.positions.insert((client, tag), position);
                if self.clients_read {
                    self.replica.handle(self.now, Input::EventsSent(client, bytes));
                } else {
                    *self.unsent_bytes.entry(client).or_default() += bytes;
                }
            }
            Effect::SaveSnapshot(job) => self.snapshots.push(job),
            Effect::AdminReply(request, answer) => {
                self.admin_replies.insert(request, answer.map_err(|error| error.code()));
            }
            Effect::Failed(error) => self.failed = Some(error.to_string()),
            Effect::TruncateLog(..) | Effect::Members(_) | Effect::Role { .. } | Effect::Scan { .. } => {}
            Effect::Send(..) | Effect::SendSnapshot(..) => panic!("there is nobody to send to"),
        }
    }

    /// Sends a request and returns its tag.
    fn send(&mut self, body: request::Body) -> Tag {
        self.last_tag += 1;
        let request = Request { tag: self.last_tag, body: Some(body) };
        self.input(Input::Request(CLIENT, request));
        self.last_tag
    }

    /// Takes the answer to a request, if there is one.
    fn reply(&mut self, tag: Tag) -> Option<Result<reply::Body, ErrorCode>> {
        let (_, body) = self.replies.get_mut(&(CLIENT, tag))?.pop()?;
        Some(match body {
            reply::Body::Error(error) => Err(ErrorCode::from_number(error.code)),
            body => Ok(body),
        })
    }

    fn call(&mut self, body: request::Body) -> Result<reply::Body, ErrorCode> {
        let tag = self.send(body);
        self.reply(tag).expect("an answer at once")
    }

    fn open(&mut self, timeout_ms: u64) -> u64 {
        let open = Open { timeout_ms, client: "test".into() };
        match self.call(request::Body::Open(open)) {
            Ok(reply::Body::Opened(opened)) => opened.session_id,
            other => panic!("not opened: {other:?}"),
        }
    }

    fn close(&mut self, session_id: u64) -> Result<reply::Body, ErrorCode> {
        self.call(request::Body::Close(Close { session_id }))
    }

    fn keep_alive(&mut self, session_id: u64) -> Result<(), ErrorCode> {
        self.call(request::Body::KeepAlive(KeepAlive { session_id })).map(|_| ())
    }

    fn create(&mut self, kind: PrimitiveKind, name: &str) -> PrimitiveId {
        let primitive = PrimitiveId::of("default", kind, name);
        let create = Create { application: "default".into(), kind: kind.number(), name: name.into() };
        self.propose(0, 0, 0, primitive, Operation::Create(create)).unwrap();
        primitive
    }

    fn propose(
        &mut self,
        session_id: u64,
        sequence: u64,
        acknowledged: u64,
        primitive: PrimitiveId,
        operation: Operation,
    ) -> Result<Bytes, ErrorCode> {
        let command = command(primitive, operation);
        let propose = Propose { session_id, sequence, acknowledged, command };
        match self.call(request::Body::Propose(propose))? {
            reply::Body::Result(result) => Ok(result),
            other => panic!("not a result: {other:?}"),
        }
    }

    /// Increments a counter by one under a sequence of a session and returns the new count.
    fn increment(
        &mut self,
        session: u64,
        sequence: u64,
        acknowledged: u64,
        counter: PrimitiveId,
    ) -> Result<i64, ErrorCode> {
        let result = self.propose(session, sequence, acknowledged, counter, increment())?;
        Ok(counter::IncrementResponse::decode(result).unwrap().value)
    }

    fn put(&mut self, map: PrimitiveId, key: &str, value: &str) {
        self.propose(0, 0, 0, map, put(key, value)).unwrap();
    }

    fn count(&mut self, counter: PrimitiveId) -> Result<i64, ErrorCode> {
        match self.call(get(counter, Consistency::Linearizable, 0))? {
            reply::Body::Result(result) => Ok(counter::GetResponse::decode(result).unwrap().value),
            other => panic!("not a result: {other:?}"),
        }
    }

    fn watch(&mut self, primitive: PrimitiveId, after: u64, filter: Option<watch::Filter>) -> Tag {
        let watch = Watch { primitive: primitive.get(), after_position: after, filter, seen_index: 0 };
        self.send(request::Body::Watch(watch))
    }

    /// The keys of the map events that a watch was sent.
    fn keys(&self, tag: Tag) -> Vec<String> {
        use synod_proto::primitive::v1::event::Event as Inner;
        let events = self.events.get(&(CLIENT, tag)).into_iter().flatten();
        events
            .map(|event| match &event.event {
                Some(Inner::Map(event)) => event.key.clone(),
                other => panic!("not a map event: {other:?}"),
            })
            .collect()
    }
}

fn command(primitive: PrimitiveId, operation: Operation) -> Bytes {
    Command { primitive: primitive.get(), operation: Some(operation) }.encode_to_vec().into()
}

fn increment() -> Operation {
    Operation::CounterIncrement(counter::IncrementRequest { delta: 1, ..Default::default() })
}

fn put(key: &str, value: &str) -> Operation {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Operation::MapPut(map::PutRequest { key: key.into(), value, ..Default::default() })
}

fn get(counter: PrimitiveId, consistency: Consistency, seen_index: u64) -> request::Body {
    let query = Query {
        primitive: counter.get(),
        operation: Some(query::Operation::CounterGet(counter::GetRequest::default())),
    };
    request::Body::Query(synod_proto::session::v1::Query {
        consistency: consistency as i32,
        seen_index,
        query: query.encode_to_vec().into(),
    })
}
