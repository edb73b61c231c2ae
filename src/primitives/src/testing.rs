//! A state machine without a replica around it, for the tests of this crate.

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Command, Create, Query};
use synod_storage::state::{KeyRange, MemoryStore, StateHash, StateRead as _, StateStore as _, Table};
use synod_types::{
    Error, ErrorCode, Index, Limits, LogTime, PartitionId, Position, PrimitiveId, PrimitiveKind, SessionId,
    SlotTable,
};

use crate::{Change, Environment, Placement, apply, fire_timers, query, session_ended};

/// Applies commands one by one, each at its own index, as a replica would. After every rejected command it checks
/// that nothing was changed.
pub(crate) struct Machine {
    pub(crate) store: MemoryStore,
    pub(crate) limits: Limits,
    pub(crate) placement: Placement,
    pub(crate) index: Index,
    pub(crate) now: LogTime,
    pub(crate) leader_since: LogTime,
    pub(crate) session: SessionId,
    position: Position,
    changes: Vec<Change>,
    last_error: Option<Error>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let slots = SlotTable::new(1).unwrap();
        Self {
            store: MemoryStore::default(),
            limits: Limits::default(),
            placement: Placement { partition: PartitionId(0), slots },
            index: Index(0),
            now: LogTime(1_000_000),
            leader_since: LogTime(0),
            session: SessionId(0),
            position: Position(0),
            changes: Vec::new(),
            last_error: None,
        }
    }

    /// The environment of the command that was applied last.
    pub(crate) fn environment(&self) -> Environment<'static> {
        // Tests are short: what they leak is less than what sharing it would cost them in clarity.
        Environment {
            limits: Box::leak(Box::new(self.limits.clone())),
            placement: Box::leak(Box::new(self.placement.clone())),
            index: self.index,
            position: self.position,
            now: self.now,
            leader_since: self.leader_since,
            session: self.session,
        }
    }

    /// Applies one command.
    pub(crate) fn apply<R: Message + Default>(
        &mut self,
        primitive: PrimitiveId,
        operation: Operation,
    ) -> Result<R, ErrorCode> {
        let encoded = self.apply_encoded(Command { primitive: primitive.get(), operation: Some(operation) });
        self.decode(encoded)
    }

    /// Applies one command and leaves its response encoded.
    pub(crate) fn apply_encoded(&mut self, command: Command) -> Result<Bytes, Error> {
        self.index = self.index.next();
        let (hash, seen) = (self.store.hash(), self.changes.len());
        let environment = self.environment();
        let result = apply(&mut self.store, environment, command, &mut self.changes).unwrap();
        self.count(seen);
        if let Err(error) = &result {
            assert_eq!(self.store.hash(), hash, "a rejected command changed the state: {error}");
            assert_eq!(self.changes.len(), seen, "a rejected command emitted an event: {error}");
        }
        result
    }

    /// Answers one query.
    pub(crate) fn query<R: Message + Default>(
        &mut self,
        primitive: PrimitiveId,
        operation: QueryOperation,
    ) -> Result<R, ErrorCode> {
        let asked = Query { primitive: primitive.get(), operation: Some(operation) };
        let encoded = query(&self.store, self.environment(), &asked).unwrap();
        self.decode(encoded)
    }

    fn decode<R: Message + Default>(&mut self, encoded: Result<Bytes, Error>) -> Result<R, ErrorCode> {
        encoded.map(|response| R::decode(response).unwrap()).map_err(|error| {
            let code = error.code();
            self.last_error = Some(error);
            code
        })
    }

    /// Gives the changes behind the first `seen` their places in the history.
    fn count(&mut self, seen: usize) {
        self.position.0 += (self.changes.len() - seen) as u64;
    }

    /// Creates a primitive of the application "default".
    pub(crate) fn create(&mut self, kind: PrimitiveKind, name: &str) -> PrimitiveId {
        let primitive = PrimitiveId::of("default", kind, name);
        let command = Create { application: "default".into(), kind: kind.number(), name: name.into() };
        let _: synod_proto::primitive::v1::CreateResponse =
            self.apply(primitive, Operation::Create(command)).unwrap();
        primitive
    }

    /// Lets log time pass and fires what is due, as an entry without commands does. Returns how many timers fired.
    pub(crate) fn advance_ms(&mut self, duration_ms: u64) -> u64 {
        self.now = self.now.plus_ms(duration_ms);
        let environment = Environment { index: self.index.next(), ..self.environment() };
        let seen = self.changes.len();
        let fired = fire_timers(&mut self.store, environment, &mut self.changes).unwrap();
        self.count(seen);
        fired
    }

    /// Lets log time pass until a new leader starts, and fires what is due.
    pub(crate) fn change_leader_after_ms(&mut self, duration_ms: u64) -> u64 {
        self.leader_since = self.now.plus_ms(duration_ms);
        self.advance_ms(duration_ms)
    }

    /// Ends a session.
    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.index = self.index.next();
        let (environment, seen) = (self.environment(), self.changes.len());
        session_ended(&mut self.store, environment, session, &mut self.changes).unwrap();
        self.count(seen);
    }

    /// A machine in the same state, made the way in which a snapshot is restored: pair by pair.
    pub(crate) fn restored(&self) -> Self {
        let mut store = MemoryStore::default();
        for table in Table::ALL {
            for pair in self.store.scan(table, KeyRange::all()) {
                let (key, value) = pair.unwrap();
                store.put(table, &key, &value).unwrap();
            }
        }
        Self {
            store,
            limits: self.limits.clone(),
            placement: self.placement.clone(),
            changes: Vec::new(),
            last_error: None,
            ..*self
        }
    }

    /// Whether the store holds nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The events of the changes since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.take_changes().into_iter().map(|change| change.event).collect()
    }

    pub(crate) fn hash(&self) -> StateHash {
        self.store.hash()
    }

    /// The text of the last error.
    pub(crate) fn last_error(&self) -> &str {
        self.last_error.as_ref().map_or("", Error::message)
    }
}
