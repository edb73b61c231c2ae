//! What a lock stores, and where. The tags are persisted: they and their meaning never change.

use synod_proto::lock::v1::Mode;
use synod_proto::lock::v1::event::Reason;
use synod_storage::state::Fault;
use synod_types::{Fence, Index, LogTime, SessionId};

use crate::context::{Context, Environment, Failure, Outcome, View};
use crate::keys::{Record, Timer};

/// The state of the lock as a whole.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    /// The fence of the last grant ever made; 0 before the first.
    #[prost(uint64, tag = "1")]
    pub(super) last_fence: u64,
    #[prost(uint64, tag = "2")]
    pub(super) holders: u64,
    /// Whether those who hold are readers.
    #[prost(bool, tag = "3")]
    pub(super) reading: bool,
    #[prost(uint64, tag = "4")]
    pub(super) waiters: u64,
    /// Until when the lock is unavailable after a loss.
    #[prost(message, optional, tag = "5")]
    pub(super) delay: Option<StoredTimer>,
}

/// A grant. Several requests share one if they are reentrant.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Holder {
    #[prost(string, repeated, tag = "1")]
    pub(super) request_ids: Vec<String>,
    #[prost(uint64, tag = "2")]
    pub(super) session: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) lease: Option<Lease>,
    #[prost(string, tag = "4")]
    pub(super) metadata: String,
    /// How long a loss of this grant makes the lock unavailable.
    #[prost(uint64, tag = "5")]
    pub(super) delay_ms: u64,
}

/// A request in the queue; also the form in which a new request is granted or queued.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Waiter {
    #[prost(string, tag = "1")]
    pub(super) request_id: String,
    #[prost(uint64, tag = "2")]
    pub(super) session: u64,
    #[prost(bool, tag = "3")]
    pub(super) reading: bool,
    #[prost(uint64, optional, tag = "4")]
    pub(super) lease_ms: Option<u64>,
    /// Until when it waits.
    #[prost(message, optional, tag = "5")]
    pub(super) wait: Option<StoredTimer>,
    #[prost(string, tag = "6")]
    pub(super) metadata: String,
    #[prost(uint64, tag = "7")]
    pub(super) delay_ms: u64,
}

/// What became of a request id.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(oneof = "State", tags = "1, 2, 3")]
    pub(super) state: Option<State>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum State {
    /// It holds, under this fence.
    #[prost(uint64, tag = "1")]
    Held(u64),
    /// It waits, in this place of the queue.
    #[prost(uint64, tag = "2")]
    Waiting(u64),
    /// It is over, and remembered so that it is not granted again.
    #[prost(message, tag = "3")]
    Ended(Ended),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ended {
    /// Why; unspecified if it was released.
    #[prost(enumeration = "Reason", tag = "1")]
    pub(super) reason: i32,
    /// Until when it is remembered.
    #[prost(message, required, tag = "2")]
    pub(super) timer: StoredTimer,
}

/// A lease, as long as it was at the grant or the last renewal.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Lease {
    #[prost(uint64, tag = "1")]
    pub(super) length_ms: u64,
    #[prost(uint64, tag = "2")]
    deadline_ms: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
}

impl Lease {
    pub(super) const fn new(length_ms: u64, timer: Timer) -> Self {
        Self { length_ms, deadline_ms: timer.deadline.get(), index: timer.index.get() }
    }

    pub(super) const fn timer(self) -> Timer {
        Timer { deadline: LogTime(self.deadline_ms), index: Index(self.index) }
    }

    /// When the lease ends. A new leader gives every lease its full length anew (C6), which is noticed when its timer
    /// fires.
    pub(super) fn end(self, environment: &Environment<'_>) -> LogTime {
        let anew = environment.leader_since.plus_ms(self.length_ms);
        self.timer().deadline.max(anew)
    }

    /// What is left of the lease.
    pub(super) fn left_ms(self, environment: &Environment<'_>) -> u64 {
        self.end(environment).get().saturating_sub(environment.now.get())
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct StoredTimer {
    #[prost(uint64, tag = "1")]
    deadline_ms: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

impl StoredTimer {
    pub(super) const fn timer(self) -> Timer {
        Timer { deadline: LogTime(self.deadline_ms), index: Index(self.index) }
    }
}

impl From<Timer> for StoredTimer {
    fn from(timer: Timer) -> Self {
        Self { deadline_ms: timer.deadline.get(), index: timer.index.get() }
    }
}

impl Header {
    pub(super) fn read(view: &View<'_>) -> Outcome<Self> {
        Ok(view.read(Record::Header, b"", "lock")?.unwrap_or_default())
    }

    pub(super) fn write(&self, context: &mut Context<'_>) -> Result<(), Fault> {
        context.write(Record::Header, b"", self)
    }
}

impl Holder {
    pub(super) fn read(view: &View<'_>, fence: Fence) -> Outcome<Option<Self>> {
        view.read(Record::Holder, &fence.get().to_be_bytes(), "lock holder")
    }

    /// The holder under a fence that a request record points to.
    pub(super) fn expect(view: &View<'_>, fence: Fence) -> Outcome<Self> {
        Self::read(view, fence)?.ok_or_else(|| Failure::unreadable("lock holder"))
    }

    pub(super) fn write(&self, context: &mut Context<'_>, fence: Fence) -> Result<(), Fault> {
        context.write(Record::Holder, &fence.get().to_be_bytes(), self)
    }

    pub(super) const fn session(&self) -> SessionId {
        SessionId(self.session)
    }
}

impl Waiter {
    pub(super) fn read(view: &View<'_>, place: u64) -> Outcome<Option<Self>> {
        view.read(Record::Queue, &place.to_be_bytes(), "lock waiter")
    }

    /// The waiter in a place that a request record points to.
    pub(super) fn expect(view: &View<'_>, place: u64) -> Outcome<Self> {
        Self::read(view, place)?.ok_or_else(|| Failure::unreadable("lock waiter"))
    }

    /// The waiter who is first in the queue, and its place.
    pub(super) fn first(view: &View<'_>) -> Outcome<Option<(u64, Self)>> {
        view.numbered(Record::Queue, "lock waiter").next().transpose()
    }

    pub(super) const fn mode(&self) -> Mode {
        mode(self.reading)
    }

    pub(super) const fn session(&self) -> SessionId {
        SessionId(self.session)
    }
}

impl Request {
    pub(super) fn read(view: &View<'_>, request_id: &str) -> Outcome<Option<State>> {
        let request: Option<Self> = view.read(Record::Request, request_id.as_bytes(), "lock request")?;
        match request {
            None => Ok(None),
            Some(Self { state: Some(state) }) => Ok(Some(state)),
            Some(Self { state: None }) => Err(Failure::unreadable("lock request")),
        }
    }

    pub(super) fn write(context: &mut Context<'_>, request_id: &str, state: State) -> Result<(), Fault> {
        let request = Self { state: Some(state) };
        context.write(Record::Request, request_id.as_bytes(), &request)
    }
}

pub(super) const fn mode(reading: bool) -> Mode {
    if reading { Mode::Read } else { Mode::Write }
}
