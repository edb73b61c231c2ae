//! Holding a lock.

use std::sync::Arc;

use synod_proto::lock::v1 as wire;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_types::{ErrorCode, Fence, PartitionId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Lock, LockMode, keeper};
use crate::error::{Error, Result};
use crate::events::Follow;
use crate::handle::{Handle, Sending};
use crate::hold::{Hold, HoldState, Loss};
use crate::partition::pipeline::Under;

/// A grant of a lock, shared by the guard and the task that looks after it.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) handle: Handle,
    pub(super) partition: PartitionId,
    pub(super) request_id: String,
    pub(super) mode: LockMode,
    pub(super) fence: Fence,
    pub(super) hold: Hold,
}

impl Grant {
    /// Gives the lease its full length again.
    pub(super) async fn renew(
        handle: &Handle,
        partition: PartitionId,
        request_id: String,
        fence: Fence,
        under: Under,
    ) -> Result<()> {
        let request = wire::RenewRequest { primitive: None, request_id, fence: fence.get(), lease_ms: None };
        let sending = Sending { under, patient: true };
        handle.write_with::<wire::RenewResponse>(partition, Write::LockRenew(request), sending).await?;
        Ok(())
    }

    /// The session under which it was granted.
    pub(super) fn under(&self) -> Under {
        Under::Only(self.hold.tenure().session())
    }

    fn release(&self) -> Write {
        let request_id = self.request_id.clone();
        Write::LockRelease(wire::ReleaseRequest { primitive: None, request_id, fence: self.fence.get() })
    }

    /// Gives the lock back as soon as that is possible, for as long as the session lives.
    pub(super) fn release_unattended(&self) {
        self.handle.write_unattended(self.partition, self.release(), self.under());
    }
}

/// A lock that is held.
///
/// A task of its own keeps it: it renews the lease if there is one, and notices when the lock is lost. The lock counts as
/// lost **before** the server could grant it to somebody else: when no confirmation has come for nine tenths of the
/// session timeout or lease, counted from when the last confirmed request was sent. That does not make it safe to go on
/// for a long time without looking: hand the [fence](Guard::fence) to whatever the lock protects.
///
/// Dropping a guard releases the lock in the background; [`Guard::release`] waits for it, and [`Guard::forget`] does not
/// release it.
#[derive(Debug)]
pub struct Guard {
    grant: Arc<Grant>,
    keeper: JoinHandle<()>,
    /// Release it when it is dropped.
    is_released_on_drop: bool,
}

impl Guard {
    pub(super) fn new(grant: Grant, follow: Option<Follow>) -> Self {
        let grant = Arc::new(grant);
        let keeper = tokio::spawn(keeper::keep(grant.clone(), follow));
        Self { grant, keeper, is_released_on_drop: true }
    }

    /// The number of this grant, greater than that of every grant of this lock before it.
    pub fn fence(&self) -> Fence {
        self.grant.fence
    }

    /// The lock that it is for.
    pub fn lock(&self) -> Lock {
        Lock { handle: self.grant.handle.clone() }
    }

    /// Under which request id it was granted, as people see it who look at the lock.
    pub fn request_id(&self) -> &str {
        &self.grant.request_id
    }

    /// How it was asked for.
    pub fn mode(&self) -> LockMode {
        self.grant.mode
    }

    /// Whether it is still held, at this moment by the clock.
    pub fn state(&self) -> HoldState {
        self.grant.hold.state()
    }

    /// The changes of the state. On a machine that was suspended they come up to a second late; [`Guard::state`] does
    /// not.
    pub fn state_changes(&self) -> watch::Receiver<HoldState> {
        self.grant.hold.changes()
    }

    /// Why it was lost, if it was.
    pub fn loss(&self) -> Option<Loss> {
        self.grant.hold.loss()
    }

    /// Resolves when it is lost.
    pub async fn lost(&self) -> Loss {
        let mut changes = self.state_changes();
        // The sender lives as long as this guard.
        let _ = changes.wait_for(|state| *state == HoldState::Lost).await;
        self.loss().unwrap_or(Loss::Unconfirmed)
    }

    /// Asks the server whether the lock is held under this fence.
    ///
    /// # Errors
    /// When no answer can be had.
    pub async fn check(&self) -> Result<bool> {
        keeper::is_current(&self.grant).await
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`ErrorCode::NotHeld`] when it was lost before. Any other error leaves the release to be done in the background.
    pub async fn release(mut self) -> Result<()> {
        let Grant { handle, partition, .. } = &*self.grant;
        let sending = Sending { under: self.grant.under(), patient: true };
        let released = handle.write_with(*partition, self.grant.release(), sending).await;
        let released = released.map(|executed| executed.response);
        let lost = |why: &str| {
            let message = format!("the lock \"{}\" was lost before it was released: {why}", handle.name());
            Err(Error::new(ErrorCode::NotHeld, message))
        };
        let outcome = match released {
            Ok(wire::ReleaseResponse { was_held: true }) => Ok(()),
            Ok(wire::ReleaseResponse { was_held: false }) => lost("the server counts it as released"),
            Err(error) if matches!(error.code(), ErrorCode::NotHeld | ErrorCode::SessionNotFound) => {
                lost(error.message())
            }
            Err(error) => return Err(error),
        };
        self.is_released_on_drop = false;
        outcome
    }

    /// Stops looking after the lock without releasing it: it is lost when the lease runs out or the session of the client
    /// ends.
    pub fn forget(mut self) {
        self.is_released_on_drop = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.keeper.abort();
        // What was lost for want of a confirmation may be held all the same, and the keeper may not have got to run since.
        let may_be_held = matches!(self.loss(), None | Some(Loss::Unconfirmed));
        if self.is_released_on_drop && may_be_held {
            self.grant.release_unattended();
        }
    }
}
