//! How a lock stands, for people who look at it.

use std::time::Duration;

use synod_proto::lock::v1 as wire;
use synod_types::{Fence, SessionId};

use super::LockMode;

/// How a lock stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockStatus {
    /// Who holds it: nobody, one writer, or readers.
    pub holders: Vec<LockHolder>,
    /// Who waits, in the order in which they will be granted.
    pub queue: Vec<LockWaiter>,
    /// The fence of the last grant ever made.
    pub last_fence: Fence,
    /// How long the lock stays unavailable after a loss, from now.
    pub unavailable: Duration,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The request that was granted.
    pub request_id: String,
    /// The session that asked; 0 for none.
    pub session: SessionId,
    /// How it is held.
    pub mode: LockMode,
    /// The fence of the grant.
    pub fence: Fence,
    /// What is left of the lease, if there is one.
    pub lease_left: Option<Duration>,
    /// What the holder said about itself.
    pub metadata: String,
}

/// Who waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaiter {
    /// The request that waits.
    pub request_id: String,
    /// The session that asked; 0 for none.
    pub session: SessionId,
    /// How it wants to hold it.
    pub mode: LockMode,
    /// What the waiter said about itself.
    pub metadata: String,
}

impl From<wire::GetResponse> for LockStatus {
    fn from(response: wire::GetResponse) -> Self {
        let holder = |holder: wire::get_response::Holder| LockHolder {
            request_id: holder.request_id,
            session: SessionId(holder.session_id),
            mode: LockMode::from_wire(holder.mode),
            fence: Fence(holder.fence),
            lease_left: holder.lease_left_ms.map(Duration::from_millis),
            metadata: holder.metadata,
        };
        let waiter = |waiter: wire::get_response::Waiter| LockWaiter {
            request_id: waiter.request_id,
            session: SessionId(waiter.session_id),
            mode: LockMode::from_wire(waiter.mode),
            metadata: waiter.metadata,
        };
        Self {
            holders: response.holders.into_iter().map(holder).collect(),
            queue: response.queue.into_iter().map(waiter).collect(),
            last_fence: Fence(response.last_fence),
            unavailable: Duration::from_millis(response.unavailable_ms),
        }
    }
}
