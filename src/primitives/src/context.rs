//! The context in which a command runs: the store, narrowed to one primitive, and the environment.

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::event::Event;
use synod_storage::state::{Blob, Fault, StateRead, StateStore, Table};
use synod_types::{
    Error, ErrorCode, Index, Limits, LogTime, PartitionId, Position, PrimitiveId, SessionId, SlotTable,
    Version,
};

use crate::keys::{self, Record, Timer};
use crate::{Change, ownership, timers};

const FORMAT: u8 = 1;

/// Why a command or query has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Failure {
    /// It is refused, by the same rule on every replica. Nothing was changed.
    #[error(transparent)]
    Rejected(#[from] Error),
    /// The store failed. The replica must stop.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure {
    /// A refusal.
    pub(crate) fn rejected(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected(Error::new(code, message))
    }

    /// What is stored cannot be read: by a newer version of Synod, or damaged.
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Fault(Fault(format!("cannot read a stored {what}: unknown format or damaged")))
    }
}

/// What a command answers, or why it does not.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Which keys this partition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// This partition.
    pub partition: PartitionId,
    /// Where every slot is.
    pub slots: SlotTable,
}

/// What a command may know beside the store: all of it is replicated.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// The limits of the partition.
    pub limits: &'a Limits,
    /// Which keys are ours.
    pub placement: &'a Placement,
    /// The index of the command. For a timer: of the command that will be applied next. For a query: of the last
    /// one that was applied.
    pub index: Index,
    /// The position of the last change before this command; for a query, of the last change. Not used by timers.
    pub position: Position,
    /// The time of the entry; for a timer, its deadline.
    pub now: LogTime,
    /// The time of the last leader change, which may be that of this entry: leases count from no earlier than this.
    pub leader_since: LogTime,
    /// Whose command it is; 0 for none.
    pub session: SessionId,
}

/// Read access to one primitive.
pub(crate) struct View<'a> {
    pub(crate) store: &'a dyn StateRead,
    pub(crate) environment: Environment<'a>,
    pub(crate) primitive: PrimitiveId,
}

impl View<'_> {
    /// The value of a record.
    pub(crate) fn get(&self, record: Record, own: &[u8]) -> Result<Option<Blob>, Fault> {
        self.store.get(Table::Data, &keys::data(self.primitive, record, own))
    }

    /// A structured record. `what` names it in the fault that ends all if it cannot be read.
    pub(crate) fn read<M: Message + Default>(
        &self,
        record: Record,
        own: &[u8],
        what: &str,
    ) -> Outcome<Option<M>> {
        let stored = self.get(record, own)?;
        stored.map(|stored| decode(&stored, what)).transpose()
    }

    /// The records of one kind, in the order of their own keys: (own key, value).
    pub(crate) fn scan(
        &self,
        record: Record,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Blob), Fault>> + use<'_> {
        self.store
            .scan(Table::Data, keys::data_range(self.primitive, record, b""))
            .map(|pair| pair.map(|(key, value)| (keys::own_key(&key).to_vec(), value)))
    }

    /// The structured records of one kind whose own keys are numbers, in the order of the numbers.
    pub(crate) fn numbered<M: Message + Default>(
        &self,
        record: Record,
        what: &'static str,
    ) -> impl Iterator<Item = Outcome<(u64, M)>> + use<'_, M> {
        let pairs = self.store.scan(Table::Data, keys::data_range(self.primitive, record, b""));
        pairs.map(move |pair| {
            let (key, value) = pair?;
            let number = keys::own_number(keys::own_key(&key)).ok_or_else(|| Failure::unreadable(what))?;
            Ok((number, decode(&value, what)?))
        })
    }

    /// The limits of the partition.
    pub(crate) const fn limits(&self) -> &Limits {
        self.environment.limits
    }
}

fn decode<M: Message + Default>(stored: &[u8], what: &str) -> Outcome<M> {
    let message = match stored.split_first() {
        Some((&FORMAT, message)) => M::decode(message).ok(),
        _ => None,
    };
    message.ok_or_else(|| Failure::unreadable(what))
}

/// Read and write access to one primitive, for the time of one command.
pub(crate) struct Context<'a> {
    store: &'a mut dyn StateStore,
    pub(crate) environment: Environment<'a>,
    primitive: PrimitiveId,
    changes: &'a mut Vec<Change>,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(
        store: &'a mut dyn StateStore,
        environment: Environment<'a>,
        primitive: PrimitiveId,
        changes: &'a mut Vec<Change>,
    ) -> Self {
        Self { store, environment, primitive, changes }
    }

    /// The same primitive, for reading.
    pub(crate) fn view(&self) -> View<'_> {
        View { store: &*self.store, environment: self.environment, primitive: self.primitive }
    }

    /// Sets a record.
    pub(crate) fn put(&mut self, record: Record, own: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.store.put(Table::Data, &keys::data(self.primitive, record, own), value).map(|_| ())
    }

    /// Sets a structured record.
    pub(crate) fn write(&mut self, record: Record, own: &[u8], message: &impl Message) -> Result<(), Fault> {
        let mut value = Vec::with_capacity(1 + message.encoded_len());
        value.push(FORMAT);
        message.encode_raw(&mut value);
        self.put(record, own, &value)
    }

    /// Removes a record.
    pub(crate) fn delete(&mut self, record: Record, own: &[u8]) -> Result<(), Fault> {
        self.store.delete(Table::Data, &keys::data(self.primitive, record, own)).map(|_| ())
    }

    /// The version that items written by this command get (C5).
    pub(crate) fn version(&self) -> Version {
        self.environment.index.into()
    }

    /// The time of the entry.
    pub(crate) const fn now(&self) -> LogTime {
        self.environment.now
    }

    /// The limits of the partition.
    pub(crate) const fn limits(&self) -> &'a Limits {
        self.environment.limits
    }

    /// Tells watchers. `key` is what they may filter by.
    pub(crate) fn emit(&mut self, key: impl Into<Bytes>, event: Event) {
        self.changes.push(Change {
            index: self.environment.index,
            primitive: self.primitive,
            key: key.into(),
            event,
        });
    }

    /// Sets a timer, which fires on this primitive with its own key once log time reaches the deadline. One that is
    /// set twice for the same own key must be cancelled in between.
    pub(crate) fn set_timer(&mut self, deadline: LogTime, own: &[u8]) -> Result<Timer, Fault> {
        let timer = Timer { deadline, index: self.environment.index };
        timers::set(self.store, timer, self.primitive, own)?;
        Ok(timer)
    }

    /// Takes a timer back. Does nothing if it has fired.
    pub(crate) fn cancel_timer(&mut self, timer: Timer, own: &[u8]) -> Result<(), Fault> {
        timers::cancel(self.store, timer, self.primitive, own)
    }

    /// Notes that a session has something at stake here, so that this primitive hears of its end. Session 0 never
    /// ends.
    pub(crate) fn own(&mut self, session: SessionId, own: &[u8]) -> Result<(), Fault> {
        if session == SessionId::default() {
            return Ok(());
        }
        ownership::add(self.store, session, self.primitive, own)
    }

    /// Notes that a session no longer has this at stake.
    pub(crate) fn disown(&mut self, session: SessionId, own: &[u8]) -> Result<(), Fault> {
        ownership::remove(self.store, session, self.primitive, own)
    }

    /// What a session has at stake here.
    pub(crate) fn owned(&self, session: SessionId) -> Result<Vec<Vec<u8>>, Fault> {
        ownership::of(&*self.store, session, self.primitive)
    }
}
