//! The context in which a command runs: the store, narrowed to one primitive, and the environment.

use bytes::Bytes;
use synod_proto::primitive::v1::event::Event;
use synod_storage::state::{Blob, Fault, KeyRange, StateRead, StateStore, Table};
use synod_types::{
    Error, ErrorCode, Index, Limits, LogTime, PartitionId, PrimitiveId, PrimitiveKind, SessionId, SlotTable,
    Version,
};

use crate::keys::{self, Record, TimerKey};
use crate::{Change, ownership, timers};

/// Why a command or query has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
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
        Self::Fault(Fault(format!(
            "cannot read a stored {what}: unknown format or damaged"
        )))
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
    /// The time of the entry; for a timer, its deadline.
    pub now: LogTime,
    /// The time of the last leader change: leases count from no earlier than this.
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
        self.store
            .get(Table::Data, &keys::data(self.primitive, record, own))
    }

    /// The limits of the partition.
    pub(crate) const fn limits(&self) -> &Limits {
        self.environment.limits
    }

    /// Checks the key of a keyed primitive: its length, and that it lives here.
    pub(crate) fn check_key(&self, what: &str, key: &str) -> Result<(), Error> {
        check_key(&self.environment, what, key)
    }
}

/// Read and write access to one primitive, for the time of one command.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a mut dyn StateStore,
    pub(crate) environment: Environment<'a>,
    pub(crate) primitive: PrimitiveId,
    pub(crate) kind: PrimitiveKind,
    changes: &'a mut Vec<Change>,
    timers_set: u32,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(
        store: &'a mut dyn StateStore,
        environment: Environment<'a>,
        primitive: PrimitiveId,
        kind: PrimitiveKind,
        changes: &'a mut Vec<Change>,
    ) -> Self {
        Self {
            store,
            environment,
            primitive,
            kind,
            changes,
            timers_set: 0,
        }
    }

    /// The same primitive, for reading.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            store: &*self.store,
            environment: self.environment,
            primitive: self.primitive,
        }
    }

    /// The value of a record.
    pub(crate) fn get(&self, record: Record, own: &[u8]) -> Result<Option<Blob>, Fault> {
        self.store
            .get(Table::Data, &keys::data(self.primitive, record, own))
    }

    /// Sets a record and returns what it replaces.
    pub(crate) fn put(&mut self, record: Record, own: &[u8], value: &[u8]) -> Result<Option<Blob>, Fault> {
        self.store
            .put(Table::Data, &keys::data(self.primitive, record, own), value)
    }

    /// Removes a record and returns it.
    pub(crate) fn delete(&mut self, record: Record, own: &[u8]) -> Result<Option<Blob>, Fault> {
        self.store
            .delete(Table::Data, &keys::data(self.primitive, record, own))
    }

    /// The records of one kind whose own key starts with `prefix`, in order: (own key, value).
    pub(crate) fn collect(&self, record: Record, prefix: &[u8]) -> Result<Vec<(Blob, Blob)>, Fault> {
        let range = keys::data_range(self.primitive, record, prefix);
        self.store
            .scan(Table::Data, range)
            .map(|pair| pair.map(|(key, v)| (keys::own_key(&key).into(), v)))
            .collect()
    }

    /// The first record of one kind: (own key, value).
    pub(crate) fn first(&self, record: Record) -> Result<Option<(Blob, Blob)>, Fault> {
        let range: KeyRange = keys::data_range(self.primitive, record, b"");
        let first = self.store.scan(Table::Data, range).next().transpose()?;
        Ok(first.map(|(key, value)| (keys::own_key(&key).into(), value)))
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

    /// Sets a timer, which fires on this primitive with `payload` once log time reaches the deadline.
    pub(crate) fn set_timer(&mut self, deadline: LogTime, payload: &[u8]) -> Result<TimerKey, Fault> {
        let key = TimerKey {
            deadline,
            index: self.environment.index,
            ordinal: self.timers_set,
        };
        self.timers_set += 1;
        timers::set(self.store, key, self.primitive, payload)?;
        Ok(key)
    }

    /// Takes a timer back. Does nothing if it has fired.
    pub(crate) fn cancel_timer(&mut self, key: TimerKey) -> Result<(), Fault> {
        self.store.delete(Table::Timers, &key.encode()).map(|_| ())
    }

    /// Notes that a session has something at stake here, so that this primitive hears of its end.
    pub(crate) fn own(&mut self, session: SessionId) -> Result<(), Fault> {
        ownership::add(self.store, session, self.primitive)
    }

    /// Notes that a session has nothing at stake here any more.
    pub(crate) fn disown(&mut self, session: SessionId) -> Result<(), Fault> {
        ownership::remove(self.store, session, self.primitive)
    }

    /// Checks the key of a keyed primitive: its length, and that it lives here.
    pub(crate) fn check_key(&self, what: &str, key: &str) -> Result<(), Error> {
        check_key(&self.environment, what, key)
    }

    /// Checks the length of a value.
    pub(crate) fn check_value(&self, value: &[u8]) -> Result<(), Error> {
        check_length("value", value.len(), 0, self.limits().value_bytes)
    }

    /// Checks a text that the user chose, which must not be empty.
    pub(crate) fn check_text(what: &str, text: &str, max_bytes: u64) -> Result<(), Error> {
        check_length(what, text.len(), 1, max_bytes)
    }
}

fn check_key(environment: &Environment<'_>, what: &str, key: &str) -> Result<(), Error> {
    check_length(what, key.len(), 1, environment.limits.key_bytes)?;
    let placement = environment.placement;
    let home = placement.slots.partition_of(key.as_bytes());
    if home == placement.partition {
        return Ok(());
    }
    let message = format!(
        "this {what} lives on partition {home}, not on {}",
        placement.partition
    );
    Err(Error::new(ErrorCode::WrongPartition, message))
}

fn check_length(what: &str, bytes: usize, min: u64, max: u64) -> Result<(), Error> {
    let bytes = bytes as u64;
    if (min..=max).contains(&bytes) {
        return Ok(());
    }
    let message = if bytes < min {
        format!("the {what} is empty: use 1 to {max} bytes")
    } else {
        format!("the {what} has {bytes} bytes: use at most {max}")
    };
    Err(Error::new(ErrorCode::Invalid, message))
}
