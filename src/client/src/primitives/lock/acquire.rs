//! Asking for a lock until it is granted.
//!
//! Each attempt has a request id of its own, under which the server grants once at most. Asking again under the same id is
//! safe, so that is what is done when it is not known how things stand. An attempt that ends without its caller knowing of
//! a grant, also because the caller does not wait any more, is withdrawn: nothing is held that nobody knows of.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use synod_proto::lock::v1 as wire;
use synod_proto::lock::v1::acquire_response::Outcome;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_types::{ErrorCode, Fence, Monotonic, PartitionId, Position};

use super::guard::{Grant, Guard};
use super::{LockEvent, LockMode, event_from_wire};
use crate::clock::{self, millis};
use crate::error::{Error, Result};
use crate::events::{Filter, Follow, Followed, Start};
use crate::handle::{Executed, Handle, Sending};
use crate::hold::{Hold, HoldState, Lease};
use crate::partition::Consistency;
use crate::partition::pipeline::Under;
use crate::tenure::Tenure;

/// How long after the end of the wait the server may take to say so.
const WAIT_GRACE: Duration = Duration::from_secs(1);

/// Asks for a lock when it is awaited.
///
/// Dropping the future gives up: the client withdraws the request, and releases the lock if it was granted meanwhile.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked for until it is awaited"]
pub struct Acquire {
    handle: Handle,
    mode: LockMode,
    wait: Option<Duration>,
    lease: Option<Duration>,
    is_reentrant: bool,
    metadata: String,
    lock_delay: Duration,
}

impl Acquire {
    pub(super) const fn new(mut handle: Handle) -> Self {
        handle.consistency = Consistency::Linearizable;
        Self {
            handle,
            mode: LockMode::Write,
            wait: None,
            lease: None,
            is_reentrant: false,
            metadata: String::new(),
            lock_delay: Duration::ZERO,
        }
    }

    /// How to hold it; write if nothing is said.
    pub const fn mode(mut self, mode: LockMode) -> Self {
        self.mode = mode;
        self
    }

    /// Wait no longer than this: then fail with [`ErrorCode::Expired`].
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Do not wait: fail with [`ErrorCode::Expired`] if the lock is not free.
    pub const fn no_wait(self) -> Self {
        self.wait(Duration::ZERO)
    }

    /// Lose the lock when it was not renewed for this long, even if the session lives: 100 milliseconds to 24 hours. The
    /// guard renews it. Without a lease the lock is bound to the session alone.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Share the grant, and the fence, if this client holds the lock in the same mode already; each guard must be
    /// released. A writer that asks for read mode becomes a reader; a reader cannot become a writer.
    pub const fn reentrant(mut self) -> Self {
        self.is_reentrant = true;
        self
    }

    /// What to tell people who look at the lock; at most 1 KiB.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// If the lock is lost rather than released, keep it from everybody for this long, at most 10 minutes: for resources
    /// that cannot check a fence.
    pub const fn lock_delay(mut self, delay: Duration) -> Self {
        self.lock_delay = delay;
        self
    }

    async fn run(self) -> Result<Guard> {
        let partition = self.handle.home();
        let begun = clock::now();
        loop {
            let request_id = format!("{:016x}{:016x}", clock::random(), clock::random());
            let withdrawal = Withdrawal::new(self.handle.clone(), partition, request_id);
            let attempt = Attempt { acquire: &self, partition, begun, withdrawal };
            if let Some(guard) = attempt.run().await? {
                return Ok(guard);
            }
        }
    }

    fn request(&self, request_id: &str, begun: Monotonic) -> Write {
        let waited = clock::now().since(begun);
        Write::LockAcquire(wire::AcquireRequest {
            primitive: None,
            request_id: request_id.to_owned(),
            mode: self.mode.to_wire() as i32,
            max_wait_ms: self.wait.map(|wait| millis(wait.saturating_sub(waited))),
            lease_ms: self.lease.map(millis),
            reentrant: self.is_reentrant,
            metadata: self.metadata.clone(),
            lock_delay_ms: millis(self.lock_delay),
        })
    }
}

impl IntoFuture for Acquire {
    type Output = Result<Guard>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// Takes a request back when it is dropped.
#[derive(Debug)]
struct Withdrawal {
    handle: Handle,
    partition: PartitionId,
    request_id: String,
    is_needed: bool,
}

impl Withdrawal {
    const fn new(handle: Handle, partition: PartitionId, request_id: String) -> Self {
        Self { handle, partition, request_id, is_needed: false }
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if self.is_needed {
            let request_id = std::mem::take(&mut self.request_id);
            let release = wire::ReleaseRequest { primitive: None, request_id, fence: 0 };
            // Without an open session there is nothing that could have been granted.
            self.handle.write_unattended(self.partition, Write::LockRelease(release), Under::Current);
        }
    }
}

/// One request id, from the first time it is sent to its end.
struct Attempt<'a> {
    acquire: &'a Acquire,
    partition: PartitionId,
    begun: Monotonic,
    withdrawal: Withdrawal,
}

/// How a wait in the queue has ended.
enum Waited {
    Granted(Fence, Option<Duration>, Box<Follow>),
    /// It is not known how things stand: ask again.
    Unknown,
    /// The request is over, and was not granted or was lost at once.
    Over,
}

impl Attempt<'_> {
    /// Returns nothing if the request is over and another one should be made.
    async fn run(mut self) -> Result<Option<Guard>> {
        loop {
            let sent_at = clock::now();
            let request = self.acquire.request(&self.withdrawal.request_id, self.begun);
            let was_queued = std::mem::replace(&mut self.withdrawal.is_needed, true);
            let sending = Sending { patient: false, ..Sending::default() };
            let executed = self.acquire.handle.write_with(self.partition, request, sending).await;
            let Executed { response: wire::AcquireResponse { outcome }, tenure } = match executed {
                Ok(executed) => executed,
                Err(error) => {
                    self.refused(error, was_queued)?;
                    if self.withdrawal.is_needed {
                        continue;
                    }
                    return Ok(None);
                }
            };
            let tenure = tenure.ok_or_else(no_session)?;
            match outcome {
                Some(Outcome::Granted(granted)) => {
                    let left = granted.lease_ms.map(Duration::from_millis);
                    let lease =
                        self.acquire.lease.map(|length| Lease::new(sent_at + left.unwrap_or(length), length));
                    return Ok(self.granted(Fence(granted.fence), Hold::new(tenure, lease), None));
                }
                Some(Outcome::Queued(queued)) => {
                    match self.wait_in_queue(&tenure, Position(queued.position)).await? {
                        Waited::Granted(fence, length, follow) => {
                            return self.granted_later(fence, length, tenure, *follow).await;
                        }
                        Waited::Unknown => {}
                        Waited::Over => {
                            self.withdrawal.is_needed = false;
                            return Ok(None);
                        }
                    }
                }
                None => return Err(Error::new(ErrorCode::Internal, "the answer is not understood")),
            }
        }
    }

    /// Decides what a refusal means. Without an error: ask again, if the request may still be there, or make another one.
    fn refused(&mut self, error: Error, was_queued: bool) -> Result<()> {
        let is_over = self.is_wait_over();
        match error.code() {
            // The request id is over: it waited long enough, or was lost or withdrawn while nobody looked.
            ErrorCode::NotHeld | ErrorCode::SessionNotFound if !is_over => {
                self.withdrawal.is_needed = false;
                Ok(())
            }
            ErrorCode::NotHeld | ErrorCode::SessionNotFound => {
                self.withdrawal.is_needed = false;
                Err(expired())
            }
            // It waits for as long as it was told to, whatever fails meanwhile.
            ErrorCode::Timeout | ErrorCode::Unavailable if !is_over => Ok(()),
            _ => {
                self.withdrawal.is_needed = was_queued || error.may_have_happened();
                Err(error)
            }
        }
    }

    fn is_wait_over(&self) -> bool {
        self.acquire.wait.is_some_and(|wait| self.begun + wait <= clock::now())
    }

    async fn wait_in_queue(&self, tenure: &Tenure, position: Position) -> Result<Waited> {
        let partition = self.acquire.handle.group.partition(self.partition)?;
        let filter = Filter::Key(self.withdrawal.request_id.clone());
        let start = Start::After(position);
        let mut follow = Follow::new(partition, self.acquire.handle.id(), filter, start);
        let give_up_at = self.acquire.wait.map(|wait| self.begun + wait + WAIT_GRACE);
        loop {
            let changed = tenure.changed();
            if tenure.has_ended() {
                return Ok(Waited::Over);
            }
            let patience = async {
                match give_up_at {
                    Some(at) => clock::sleep_until(at, Duration::from_secs(1)).await,
                    None => std::future::pending().await,
                }
            };
            let followed = tokio::select! {
                followed = follow.next() => followed,
                () = changed => continue,
                () = patience => match give_up_at {
                    Some(at) if at <= clock::now() => return Err(expired()),
                    _ => continue,
                },
            };
            match followed {
                Ok(Followed::Event(event)) => match lock_event(event.event) {
                    Some(LockEvent::Granted { fence, lease, .. }) => {
                        return Ok(Waited::Granted(fence, lease, Box::new(follow)));
                    }
                    Some(LockEvent::GaveUp { expired: true }) => return Err(expired()),
                    Some(LockEvent::GaveUp { .. } | LockEvent::Lost { .. } | LockEvent::Released { .. }) => {
                        return Ok(Waited::Over);
                    }
                    _ => {}
                },
                Ok(Followed::Started(_) | Followed::Progress(_)) => {}
                Err(error) if error.code() == ErrorCode::Compacted => return Ok(Waited::Unknown),
                Err(error) => return Err(error),
            }
        }
    }

    /// The grant came as an event, which says nothing about when it was made: a lease is renewed, to know.
    async fn granted_later(
        mut self,
        fence: Fence,
        length: Option<Duration>,
        tenure: Arc<Tenure>,
        follow: Follow,
    ) -> Result<Option<Guard>> {
        let Some(length) = length else {
            return Ok(self.granted(fence, Hold::new(tenure, None), Some(follow)));
        };
        let sent_at = clock::now();
        let under = Under::Only(tenure.session());
        let hold = Hold::new(tenure, Some(Lease::new(sent_at + length, length)));
        let request_id = self.withdrawal.request_id.clone();
        match Grant::renew(&self.acquire.handle, self.partition, request_id, fence, under).await {
            Ok(()) => Ok(self.granted(fence, hold, Some(follow))),
            Err(error) if matches!(error.code(), ErrorCode::NotHeld | ErrorCode::SessionNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A guard for what was granted; none if it is lost already, because no confirmation of the session came for long.
    fn granted(&mut self, fence: Fence, hold: Hold, follow: Option<Follow>) -> Option<Guard> {
        if hold.state() == HoldState::Lost {
            return None;
        }
        self.withdrawal.is_needed = false;
        let handle = self.acquire.handle.clone();
        let request_id = self.withdrawal.request_id.clone();
        let grant =
            Grant { handle, partition: self.partition, request_id, mode: self.acquire.mode, fence, hold };
        Some(Guard::new(grant, follow))
    }
}

/// What a change says about a lock.
pub(super) fn lock_event(event: Option<WireEvent>) -> Option<LockEvent> {
    match event {
        Some(WireEvent::Lock(wire::Event { event: Some(what), .. })) => Some(event_from_wire(what)),
        _ => None,
    }
}

fn expired() -> Error {
    Error::new(ErrorCode::Expired, "the lock was not granted within the time to wait for it")
}

fn no_session() -> Error {
    Error::new(ErrorCode::Internal, "the lock was asked for without a session")
}
