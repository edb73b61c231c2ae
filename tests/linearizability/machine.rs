//! The product's own state machines as the sequential object: what they answer, one request after another, is
//! linearizable by construction.

use bytes::Bytes;
use synod_primitives::{Change, Environment, Placement, apply, fire_timers, query, scan, session_ended};
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::scan::Operation as ScanOperation;
use synod_proto::primitive::v1::{Command, Create, Query, Scan};
use synod_storage::state::{MemoryStore, StateRead as _, StateStore as _};
use synod_testkit::linearizability::models::primitives::{Input, Output};
use synod_testkit::linearizability::models::{election, lock};
use synod_testkit::linearizability::wire;
use synod_types::{
    Index, Limits, LogTime, Monotonic, PartitionId, Position, PrimitiveId, PrimitiveKind, SessionId,
    SlotTable,
};

const PARTITION: PartitionId = PartitionId(0);

/// A request, as it would come over the wire.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Command(SessionId, PrimitiveId, Operation),
    Query(PrimitiveId, QueryOperation),
    Scan(PrimitiveId, ScanOperation),
    EndSession(PrimitiveId, PrimitiveKind, SessionId),
}

impl Request {
    /// The request as an input of the models.
    pub(crate) fn input(&self) -> Input {
        match self.clone() {
            Self::Command(session, primitive, operation) => {
                let command = Command { primitive: primitive.get(), operation: Some(operation) };
                wire::command(session, PARTITION, &command).unwrap()
            }
            Self::Query(primitive, operation) => {
                wire::query(PARTITION, &Query { primitive: primitive.get(), operation: Some(operation) })
                    .unwrap()
            }
            Self::Scan(primitive, operation) => {
                wire::scan(PARTITION, &Scan { primitive: primitive.get(), operation: Some(operation) })
                    .unwrap()
            }
            Self::EndSession(primitive, PrimitiveKind::Lock, session) => {
                let action = lock::Action::EndSession(session.get());
                Input::Lock(lock::Input { lock: primitive, action })
            }
            Self::EndSession(primitive, _, session) => {
                let action = election::Action::EndSession(session.get());
                Input::Election(election::Input { election: primitive, action })
            }
        }
    }
}

/// The state machines of one partition, with one primitive of each kind. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Machine {
    store: MemoryStore,
    pub(crate) index: Index,
    now: LogTime,
    position: Position,
}

/// The primitive of a kind that every [`Machine`] has.
pub(crate) fn primitive(kind: PrimitiveKind) -> PrimitiveId {
    PrimitiveId::of("default", kind, kind.as_str())
}

impl Machine {
    pub(crate) fn new() -> Self {
        let mut machine =
            Self { store: MemoryStore::default(), index: Index(0), now: LogTime(0), position: Position(0) };
        for kind in PrimitiveKind::ALL {
            let create =
                Create { application: "default".into(), kind: kind.number(), name: kind.as_str().into() };
            let operation = Some(Operation::Create(create));
            let command = Command { primitive: primitive(kind).get(), operation };
            machine.change(SessionId(0), |store, environment, changes| {
                apply(store, environment, command, changes).unwrap().unwrap()
            });
        }
        machine
    }

    /// Applies something at the next index.
    fn change<T>(
        &mut self,
        session: SessionId,
        change: impl FnOnce(&mut MemoryStore, Environment<'_>, &mut Vec<Change>) -> T,
    ) -> T {
        let (limits, slots) = (Limits::default(), SlotTable::new(1).unwrap());
        let placement = Placement { partition: PARTITION, slots };
        let environment = self.environment(&limits, &placement, session, self.index.next());
        let mut changes = Vec::new();
        let result = change(&mut self.store, environment, &mut changes);
        self.index = self.index.next();
        self.position.0 += changes.len() as u64;
        result
    }

    fn environment<'a>(
        &self,
        limits: &'a Limits,
        placement: &'a Placement,
        session: SessionId,
        index: Index,
    ) -> Environment<'a> {
        let Self { now, position, .. } = *self;
        Environment { limits, placement, index, position, now, leader_since: LogTime(0), session }
    }

    /// Lets log time follow the clock of the history, and fires what is due.
    pub(crate) fn advance_to(&mut self, now: Monotonic) {
        self.now = LogTime(now.as_nanos() / 1_000_000);
        // Timers count as the command that follows them; here that is one of its own.
        self.change(SessionId(0), |store, environment, changes| {
            fire_timers(store, environment, changes).unwrap()
        });
    }

    /// Whether the contents differ.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.store.hash() != other.store.hash()
    }

    /// Executes a request.
    pub(crate) fn execute(&mut self, request: &Request) -> Output {
        let input = request.input();
        match request.clone() {
            Request::Command(session, primitive, operation) => {
                let command = Command { primitive: primitive.get(), operation: Some(operation) };
                let result = self.change(session, |store, environment, changes| {
                    apply(store, environment, command, changes).unwrap()
                });
                wire::answer(&input, result.map_err(|error| error.code())).unwrap()
            }
            Request::Query(primitive, operation) => {
                let asked = Query { primitive: primitive.get(), operation: Some(operation) };
                let result = self.read(|store, environment| query(store, environment, &asked).unwrap());
                wire::answer(&input, result.map_err(|error| error.code())).unwrap()
            }
            Request::Scan(primitive, operation) => {
                let asked = Scan { primitive: primitive.get(), operation: Some(operation) };
                let mut chunks: Vec<Bytes> = Vec::new();
                let mut scan = self
                    .read(|store, environment| scan(store.snapshot(), environment, &asked).unwrap().unwrap());
                while let Some(chunk) = scan.next_chunk().unwrap() {
                    chunks.push(chunk);
                }
                wire::listing(&input, &chunks).unwrap()
            }
            Request::EndSession(_, _, session) => {
                self.change(SessionId(0), |store, environment, changes| {
                    session_ended(store, environment, session, changes).unwrap();
                });
                wire::answer(&input, Ok(Bytes::new())).unwrap()
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&MemoryStore, Environment<'_>) -> T) -> T {
        let (limits, slots) = (Limits::default(), SlotTable::new(1).unwrap());
        let placement = Placement { partition: PARTITION, slots };
        read(&self.store, self.environment(&limits, &placement, SessionId(0), self.index))
    }
}
