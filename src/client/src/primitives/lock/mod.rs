//! The lock.
//!
//! No lock service can keep a program that was paused from acting late. So every grant has a fence, a number that grows
//! with each: hand it to whatever the lock protects, and let that refuse smaller ones than it has seen.

mod acquire;
mod guard;
mod keeper;
mod status;

pub use acquire::Acquire;
pub use guard::Guard;
pub use status::{LockHolder, LockStatus, LockWaiter};

use std::time::Duration;

use synod_proto::lock::v1 as wire;
use synod_proto::lock::v1::event::{Event as WireWhat, Reason};
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_types::{Fence, SessionId};

use crate::error::Result;
use crate::events::Events;
use crate::handle::handle;
use crate::hold::Loss;

handle! {
    /// A read-write lock with fences: first come, first served.
    Lock, Lock
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Alone.
    #[default]
    Write,
    /// Together with other readers.
    Read,
}

/// Something that happened to a request for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockChange {
    /// The request that waits or holds.
    pub request_id: String,
    /// What happened to it.
    pub event: LockEvent,
}

/// What can happen to a request for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEvent {
    /// It waits.
    Queued {
        /// How many wait in front of it.
        ahead: u64,
    },
    /// It holds the lock.
    Granted {
        /// The fence of the grant.
        fence: Fence,
        /// How it holds it.
        mode: LockMode,
        /// The session that asked.
        session: SessionId,
        /// How long it may hold it without renewing.
        lease: Option<Duration>,
    },
    /// Its lease has its full length again.
    Renewed {
        /// The fence of the grant.
        fence: Fence,
        /// How long it may hold it without renewing.
        lease: Duration,
    },
    /// It gave the lock back.
    Released {
        /// The fence of the grant.
        fence: Fence,
    },
    /// It lost the lock.
    Lost {
        /// The fence of the grant.
        fence: Fence,
        /// Why.
        loss: Loss,
    },
    /// It waits no more, and did not get the lock.
    GaveUp {
        /// It had waited for as long as it wanted.
        expired: bool,
    },
}

impl Lock {
    /// Asks for the lock. Awaiting it waits until it is granted: for ever, in write mode, bound to the session of the
    /// client, unless something else is said.
    pub fn acquire(&self) -> Acquire {
        Acquire::new(self.handle.clone())
    }

    /// Who holds the lock, and who waits.
    ///
    /// # Errors
    /// When no answer can be had, or the lock [must exist](Lock::existing) and does not.
    pub async fn status(&self) -> Result<LockStatus> {
        let get = Read::LockGet(wire::GetRequest::default());
        let response: Option<wire::GetResponse> = self.handle.read(self.handle.home(), get).await?;
        Ok(response.unwrap_or_default().into())
    }

    /// Whether a fence is that of a grant that holds now.
    ///
    /// # Errors
    /// As [`Lock::status`].
    pub async fn is_current(&self, fence: Fence) -> Result<bool> {
        let check = Read::LockCheckFence(wire::CheckFenceRequest { primitive: None, fence: fence.get() });
        let response: Option<wire::CheckFenceResponse> = self.handle.read(self.handle.home(), check).await?;
        Ok(response.is_some_and(|response| response.current))
    }

    /// Ends the grant that has this fence, whoever it belongs to.
    ///
    /// # Errors
    /// As [`Lock::status`]; [`ErrorCode::NotHeld`](synod_types::ErrorCode::NotHeld) when no grant has it.
    pub async fn force_release(&self, fence: Fence) -> Result<()> {
        let request = wire::ForceReleaseRequest { primitive: None, fence: fence.get() };
        let force = Write::LockForceRelease(request);
        let _: wire::ForceReleaseResponse = self.handle.write(self.handle.home(), force).await?;
        Ok(())
    }

    /// Everything that happens to requests for the lock from now on.
    pub fn events(&self) -> Events<LockChange> {
        Events::new(&self.handle, |event| match event {
            WireEvent::Lock(wire::Event { request_id, event: Some(what) }) => {
                Some(LockChange { request_id, event: event_from_wire(what) })
            }
            _ => None,
        })
    }
}

impl LockMode {
    const fn to_wire(self) -> wire::Mode {
        match self {
            Self::Write => wire::Mode::Write,
            Self::Read => wire::Mode::Read,
        }
    }

    fn from_wire(mode: i32) -> Self {
        if mode == wire::Mode::Read as i32 { Self::Read } else { Self::Write }
    }
}

fn event_from_wire(what: WireWhat) -> LockEvent {
    match what {
        WireWhat::Queued(wire::event::Queued { ahead }) => LockEvent::Queued { ahead },
        WireWhat::Granted(wire::event::Granted { fence, mode, session_id, lease_ms }) => LockEvent::Granted {
            fence: Fence(fence),
            mode: LockMode::from_wire(mode),
            session: SessionId(session_id),
            lease: lease_ms.map(Duration::from_millis),
        },
        WireWhat::Renewed(wire::event::Renewed { fence, lease_ms }) => {
            LockEvent::Renewed { fence: Fence(fence), lease: Duration::from_millis(lease_ms) }
        }
        WireWhat::Released(wire::event::Released { fence }) => LockEvent::Released { fence: Fence(fence) },
        WireWhat::Lost(wire::event::Lost { fence, reason }) => {
            LockEvent::Lost { fence: Fence(fence), loss: loss_from_wire(reason) }
        }
        WireWhat::GaveUp(wire::event::GaveUp { reason }) => {
            LockEvent::GaveUp { expired: reason == Reason::WaitExpired as i32 }
        }
    }
}

fn loss_from_wire(reason: i32) -> Loss {
    match Reason::try_from(reason) {
        Ok(Reason::LeaseExpired) => Loss::LeaseExpired,
        Ok(Reason::SessionEnded) => Loss::SessionEnded,
        Ok(Reason::Unspecified | Reason::WaitExpired | Reason::Withdrawn) => Loss::Released,
        Ok(Reason::Forced) | Err(_) => Loss::Forced,
    }
}
