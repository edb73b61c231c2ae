//! The lock.
//!
//! Much happens to a lock between operations: leases and waits end, and whoever waits is granted. The model lets such
//! things happen only in front of an operation, in every way that the times allow, and keeps what the operation's
//! answer fits. Fences of grants that came out of the queue are known as ranges, which every answer that shows one
//! makes narrower.

mod fence;
mod lapse;
mod state;
mod step;

pub use state::LockState;

use std::time::Duration;

use synod_types::PrimitiveId;

use super::{Answer, ClockBound};
use crate::linearizability::model::{Call, Model, Scope};

/// A request for the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// Its request id.
    pub request: String,
    /// Whose it is; 0 for none.
    pub session: u64,
    /// Whether it is content to be a reader.
    pub reading: bool,
    /// The longest wait; none waits for ever.
    pub max_wait: Option<Duration>,
    /// The lease; none is bound to the session alone.
    pub lease: Option<Duration>,
    /// Whether it may share a grant of its session.
    pub reentrant: bool,
    /// How long a loss makes the lock unavailable.
    pub delay: Duration,
}

impl Acquire {
    /// A request of a session for write mode, which waits for ever and has no lease.
    pub fn write(request: impl Into<String>, session: u64) -> Self {
        Self {
            request: request.into(),
            session,
            reading: false,
            max_wait: None,
            lease: None,
            reentrant: false,
            delay: Duration::ZERO,
        }
    }

    /// The same in read mode.
    pub fn read(request: impl Into<String>, session: u64) -> Self {
        Self { reading: true, ..Self::write(request, session) }
    }
}

/// What can be done to a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asks for it.
    Acquire(Acquire),
    /// Extends a lease.
    Renew {
        /// The request id.
        request: String,
        /// The fence of its grant.
        fence: u64,
        /// A new length for the lease.
        lease: Option<Duration>,
    },
    /// Gives it back, or gives up waiting.
    Release {
        /// The request id.
        request: String,
        /// Whose it is; 0 for none.
        session: u64,
        /// The fence of its grant; 0 for whatever the state of the request is.
        fence: u64,
    },
    /// Ends the grant with this fence.
    ForceRelease(u64),
    /// Shows who holds it and who waits.
    Get,
    /// Asks whether this fence is the one of a current grant.
    CheckFence(u64),
    /// Ends a session.
    EndSession(u64),
}

/// An action on a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which lock.
    pub lock: PrimitiveId,
    /// What is done to it.
    pub action: Action,
}

/// What a lock answers when it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// It is granted, under this fence.
    Granted(u64),
    /// It waits, behind this many.
    Queued(u64),
    /// The lease has this length again.
    Renewed(Duration),
    /// Whether the request held the lock.
    Released(bool),
    /// It is done.
    Done,
    /// Who holds the lock and who waits.
    Shown(Shown),
    /// Whether the fence is current.
    Current(bool),
}

/// A lock as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The request ids that hold it, with their fences, in the order of the answer.
    pub holders: Vec<(String, u64)>,
    /// Whether those are readers; false if there are none.
    pub reading: bool,
    /// The request ids that wait, first in line first.
    pub queue: Vec<String>,
    /// The fence of the last grant.
    pub last_fence: u64,
}

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockModel {
    /// How far the clock that ends leases, waits and delays can be trusted.
    pub clock: ClockBound,
}

impl Model for LockModel {
    type Input = Input;
    type Output = Answer<Output>;
    type State = LockState;
    type Key = PrimitiveId;

    fn scope(&self, input: &Input) -> Scope<PrimitiveId> {
        Scope::One(input.lock)
    }

    fn initial(&self, _: &[PrimitiveId]) -> LockState {
        LockState::default()
    }

    fn step(&self, state: &LockState, call: Call<'_, Input, Answer<Output>>, next: &mut Vec<LockState>) {
        for before in state.by(call.latest, self.clock) {
            for before in before.variants(&call.input.action, call.latest) {
                next.extend(step::step(before, call, self.clock).filter(|after| !next.contains(after)));
            }
        }
    }

    fn observes(&self, input: &Input, output: Option<&Answer<Output>>) -> bool {
        matches!(input.action, Action::Get | Action::CheckFence(_)) || matches!(output, Some(Err(_)))
    }
}
