//! `lock acquire`: asks for the lock, and waits for it if it is not free.

use synod_proto::lock::v1::acquire_response::{Granted, Outcome as Answered, Queued};
use synod_proto::lock::v1::event::Reason;
use synod_proto::lock::v1::{AcquireRequest, AcquireResponse, Mode};
use synod_types::{ErrorCode, Fence, PrimitiveKind, SessionId};

use super::record::{Holder, Request, State, Waiter};
use super::transition::Transition;
use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Failure, Outcome, View};
use crate::keys::Record;

/// The longest metadata.
const METADATA_BYTES: u64 = 1_024;
/// The longest delay after a loss: long enough for what a lost holder has sent to arrive or fail.
const DELAY_MS: u64 = 600_000;

impl Apply for AcquireRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = AcquireResponse;

    /// Rejects with `NotHeld` a request id that is over, with `AlreadyExists` one that another session uses, with
    /// `Expired` when the lock is not free and the request will not wait, with `ResourceExhausted` when the queue is
    /// full, and with `Invalid` also a reader that asks for write mode on top.
    fn apply(self, context: &mut Context<'_>) -> Outcome<AcquireResponse> {
        let session = context.environment.session;
        let (reentrant, max_wait_ms) = (self.reentrant, self.max_wait_ms);
        let claim = claim(self, session)?;
        if let Some(state) = Request::read(&context.view(), &claim.request_id)? {
            return known(&context.view(), &claim, state);
        }
        if reentrant && let Some((fence, holder)) = grant_of(context, session)? {
            return share(context, fence, holder, claim);
        }
        let mut transition = Transition::start(context)?;
        if transition.header.waiters == 0 && transition.is_free_for(claim.reading) {
            let lease_ms = claim.lease_ms;
            transition.context.own(session, claim.request_id.as_bytes())?;
            let fence = transition.grant(claim)?;
            transition.finish()?;
            return Ok(granted(fence, lease_ms));
        }
        check_wait(&transition, max_wait_ms)?;
        transition.context.own(session, claim.request_id.as_bytes())?;
        let ahead = transition.enqueue(claim, max_wait_ms)?;
        transition.finish()?;
        Ok(queued(&context.view(), ahead))
    }
}

/// Checks a request by itself.
fn claim(request: AcquireRequest, session: SessionId) -> Outcome<Waiter> {
    super::check_request_id(&request.request_id)?;
    super::check_lease(request.lease_ms)?;
    bounds::wait(request.max_wait_ms)?;
    bounds::text("metadata", &request.metadata, METADATA_BYTES)?;
    bounds::duration("lock_delay_ms", request.lock_delay_ms, 0, DELAY_MS)?;
    let invalid = |message: &str| Err(Failure::rejected(ErrorCode::Invalid, message));
    let reading = match Mode::try_from(request.mode) {
        Ok(Mode::Read) => true,
        Ok(Mode::Write) => false,
        Ok(Mode::Unspecified) | Err(_) => return invalid("the mode is not known: use write or read"),
    };
    if session == SessionId::default() {
        if request.lease_ms.is_none() {
            return invalid("the lock has neither a lease nor a session: use lease_ms, or open a session");
        }
        if request.reentrant {
            return invalid("only a session can acquire again what it holds: open a session");
        }
    }
    Ok(Waiter {
        request_id: request.request_id,
        session: session.get(),
        reading,
        lease_ms: request.lease_ms,
        wait: None,
        metadata: request.metadata,
        delay_ms: request.lock_delay_ms,
    })
}

/// Answers a request id that was used before, by what became of it. Changes nothing.
fn known(view: &View<'_>, claim: &Waiter, state: State) -> Outcome<AcquireResponse> {
    let (owner, answer) = match state {
        State::Held(fence) => {
            let fence = Fence(fence);
            let holder = Holder::expect(view, fence)?;
            let left_ms = holder.lease.map(|lease| lease.left_ms(&view.environment));
            (holder.session, granted(fence, left_ms))
        }
        State::Waiting(place) => {
            let waiter = Waiter::expect(view, place)?;
            (waiter.session, queued(view, ahead_of(view, place)?))
        }
        State::Ended(ended) => {
            let message = format!(
                "request \"{}\" {}: acquire again under a new request id",
                claim.request_id,
                what_happened(ended.reason())
            );
            return Err(Failure::rejected(ErrorCode::NotHeld, message));
        }
    };
    if owner == claim.session {
        return Ok(answer);
    }
    let message =
        format!("request \"{}\" was made by another session: use a new request id", claim.request_id);
    Err(Failure::rejected(ErrorCode::AlreadyExists, message))
}

const fn what_happened(reason: Reason) -> &'static str {
    match reason {
        Reason::Unspecified => "was released",
        Reason::LeaseExpired => "lost the lock when its lease ran out",
        Reason::SessionEnded => "ended with its session",
        Reason::Forced => "was ended by an operator",
        Reason::WaitExpired => "has waited as long as it wanted",
        Reason::Withdrawn => "was withdrawn",
    }
}

fn ahead_of(view: &View<'_>, place: u64) -> Outcome<u64> {
    let mut ahead = 0;
    for pair in view.scan(Record::Queue) {
        if *pair?.0 >= place.to_be_bytes()[..] {
            break;
        }
        ahead += 1;
    }
    Ok(ahead)
}

/// The grant that a session holds; of several, the one with the first request id.
fn grant_of(context: &Context<'_>, session: SessionId) -> Outcome<Option<(Fence, Holder)>> {
    let view = context.view();
    for request_id in context.owned(session)? {
        let request_id = str::from_utf8(&request_id).map_err(|_| Failure::unreadable("lock request"))?;
        if let Some(State::Held(fence)) = Request::read(&view, request_id)? {
            let fence = Fence(fence);
            return Ok(Some((fence, Holder::expect(&view, fence)?)));
        }
    }
    Ok(None)
}

fn share(context: &mut Context<'_>, fence: Fence, holder: Holder, claim: Waiter) -> Outcome<AcquireResponse> {
    let most = context.limits().waiters;
    let mut transition = Transition::start(context)?;
    if transition.header.reading && !claim.reading {
        let message = "a reader cannot become a writer, which could wait for itself: release first";
        return Err(Failure::rejected(ErrorCode::Invalid, message));
    }
    if holder.request_ids.len() as u64 >= most {
        let message = format!("{most} requests share the grant already, which is the most");
        return Err(Failure::rejected(ErrorCode::ResourceExhausted, message));
    }
    let left_ms = holder.lease.map(|lease| lease.left_ms(&transition.context.environment));
    transition.context.own(holder.session(), claim.request_id.as_bytes())?;
    transition.share(fence, holder, claim)?;
    transition.finish()?;
    Ok(granted(fence, left_ms))
}

fn check_wait(transition: &Transition<'_, '_>, max_wait_ms: Option<u64>) -> Outcome<()> {
    if max_wait_ms == Some(0) {
        let message = "the lock is not free, and the request does not wait";
        return Err(Failure::rejected(ErrorCode::Expired, message));
    }
    let most = transition.context.limits().waiters;
    if transition.header.waiters >= most {
        let message = format!("{most} requests wait for the lock already, which is the most");
        return Err(Failure::rejected(ErrorCode::ResourceExhausted, message));
    }
    Ok(())
}

fn granted(fence: Fence, lease_ms: Option<u64>) -> AcquireResponse {
    AcquireResponse { outcome: Some(Answered::Granted(Granted { fence: fence.get(), lease_ms })) }
}

fn queued(view: &View<'_>, ahead: u64) -> AcquireResponse {
    AcquireResponse {
        outcome: Some(Answered::Queued(Queued { ahead, position: view.environment.position.get() })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Lock, read, write};
    use super::*;

    #[test]
    fn a_free_lock_is_granted_under_the_index_of_the_command() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        assert_eq!(fence, lock.machine.index.get());
        assert_eq!(lock.wait(2, write("b")), 0);
        assert_eq!(lock.wait(3, write("c")), 1);
    }

    #[test]
    fn a_request_that_waits_is_told_where_to_watch_from() {
        let mut lock = Lock::new();
        lock.hold(1, write("a"));
        let position = lock.machine.environment().position.get();
        let expected = Queued { ahead: 0, position };
        assert_eq!(lock.acquire(2, write("b")), Ok(Answered::Queued(expected)));
        assert_eq!(lock.machine.environment().position.get(), position + 1);
    }

    #[test]
    fn a_request_that_does_not_wait_is_expired_at_once() {
        let mut lock = Lock::new();
        lock.hold(1, write("a"));
        let impatient = || AcquireRequest { max_wait_ms: Some(0), ..write("b") };
        assert_eq!(lock.acquire(2, impatient()), Err(ErrorCode::Expired));
        lock.release(1, "a", 0).unwrap();
        lock.hold(2, impatient());
    }

    #[test]
    fn a_holder_that_asks_again_gets_the_same_fence_and_what_is_left_of_its_lease() {
        let mut lock = Lock::new();
        let request = AcquireRequest { lease_ms: Some(1_000), max_wait_ms: Some(0), ..write("a") };
        let fence = lock.hold(1, request.clone());
        lock.wait(2, write("b"));
        lock.machine.advance_ms(300);
        let expected = Granted { fence, lease_ms: Some(700) };
        assert_eq!(lock.acquire(1, request), Ok(Answered::Granted(expected)));
    }

    #[test]
    fn a_waiter_that_asks_again_keeps_its_place() {
        let mut lock = Lock::new();
        lock.hold(1, write("a"));
        lock.wait(2, write("b"));
        lock.wait(3, write("c"));
        assert_eq!(lock.wait(3, AcquireRequest { max_wait_ms: Some(0), ..write("c") }), 1);
        assert_eq!(lock.wait(2, write("b")), 0);
        assert_eq!(lock.waiters(), ["b", "c"]);
    }

    #[test]
    fn bug_a_late_duplicate_of_a_released_request_is_not_granted() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        lock.release(1, "a", fence).unwrap();
        assert_eq!(lock.acquire(1, write("a")), Err(ErrorCode::NotHeld));
        lock.machine.advance_ms(599_999);
        assert_eq!(lock.acquire(1, write("a")), Err(ErrorCode::NotHeld));
        assert_eq!(
            lock.machine.last_error(),
            "request \"a\" was released: acquire again under a new request id"
        );
        lock.machine.advance_ms(1);
        assert!(lock.hold(1, write("a")) > fence);
    }

    #[test]
    fn a_request_id_belongs_to_one_session() {
        let mut lock = Lock::new();
        lock.hold(1, write("a"));
        lock.wait(2, write("b"));
        assert_eq!(lock.acquire(2, write("a")), Err(ErrorCode::AlreadyExists));
        assert_eq!(lock.acquire(1, write("b")), Err(ErrorCode::AlreadyExists));
    }

    #[test]
    fn a_waiting_writer_blocks_later_readers_and_readers_next_to_each_other_come_together() {
        let mut lock = Lock::new();
        let first = lock.hold(1, read("r1"));
        lock.wait(2, write("w1"));
        for (session, request) in [(3, read("r2")), (4, read("r3")), (5, write("w2")), (6, read("r4"))] {
            lock.wait(session, request);
        }
        lock.release(1, "r1", first).unwrap();
        assert_eq!(lock.holders(), ["w1"]);
        lock.release(2, "w1", 0).unwrap();
        assert_eq!(lock.holders(), ["r2", "r3"]);
        assert_eq!(lock.waiters(), ["w2", "r4"]);
        let fences = lock.fences();
        lock.release(3, "r2", 0).unwrap();
        assert_eq!(lock.holders(), ["r3"]);
        lock.release(4, "r3", 0).unwrap();
        assert_eq!(lock.holders(), ["w2"]);
        assert!(lock.fences()[0] > fences[1]);
    }

    #[test]
    fn a_reentrant_request_shares_the_grant_and_must_be_released_as_well() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        lock.wait(2, write("x"));
        assert_eq!(lock.hold(1, AcquireRequest { reentrant: true, ..write("b") }), fence);
        assert_eq!(lock.holders(), ["a", "b"]);
        assert_eq!(lock.release(1, "a", fence), Ok(true));
        assert_eq!(lock.holders(), ["b"]);
        assert_eq!(lock.release(1, "b", fence), Ok(true));
        assert_eq!(lock.holders(), ["x"]);
    }

    #[test]
    fn without_reentrancy_the_same_session_queues() {
        let mut lock = Lock::new();
        lock.hold(1, write("a"));
        assert_eq!(lock.wait(1, write("b")), 0);
        assert_eq!(lock.wait(2, AcquireRequest { reentrant: true, ..write("c") }), 1);
    }

    #[test]
    fn losing_a_shared_grant_loses_it_for_all_who_share_it() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, AcquireRequest { lease_ms: Some(100), ..write("a") });
        lock.hold(1, AcquireRequest { reentrant: true, ..write("b") });
        lock.machine.advance_ms(100);
        assert_eq!(lock.holders().len(), 0);
        assert_eq!(lock.release(1, "b", fence), Ok(false));
    }

    #[test]
    fn a_writer_may_become_a_reader_and_lets_the_readers_behind_in() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        lock.wait(2, read("b"));
        assert_eq!(lock.hold(1, AcquireRequest { reentrant: true, ..read("c") }), fence);
        assert_eq!(lock.holders(), ["a", "c", "b"]);
        assert!(lock.get().holders.iter().all(|holder| holder.mode() == Mode::Read));
    }

    #[test]
    fn a_reader_may_not_become_a_writer() {
        let mut lock = Lock::new();
        lock.hold(1, read("a"));
        let upgrade = AcquireRequest { reentrant: true, ..write("b") };
        assert_eq!(lock.acquire(1, upgrade), Err(ErrorCode::Invalid));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut lock = Lock::new();
        let refused = [
            write(""),
            write(&"x".repeat(129)),
            AcquireRequest { mode: 0, ..write("a") },
            AcquireRequest { mode: 3, ..write("a") },
            AcquireRequest { lease_ms: Some(99), ..write("a") },
            AcquireRequest { lease_ms: Some(86_400_001), ..write("a") },
            AcquireRequest { max_wait_ms: Some(u64::MAX), ..write("a") },
            AcquireRequest { lock_delay_ms: 600_001, ..write("a") },
            AcquireRequest { metadata: "x".repeat(1_025), ..write("a") },
        ];
        for request in refused {
            assert_eq!(lock.acquire(1, request.clone()), Err(ErrorCode::Invalid), "{request:?}");
        }
        let allowed = AcquireRequest {
            lease_ms: Some(100),
            lock_delay_ms: 600_000,
            metadata: "x".repeat(1_024),
            ..write(&"x".repeat(128))
        };
        lock.hold(1, allowed);
    }

    #[test]
    fn without_a_session_a_lease_is_required_and_nothing_is_reentrant() {
        let mut lock = Lock::new();
        assert_eq!(lock.acquire(0, write("a")), Err(ErrorCode::Invalid));
        let leased = AcquireRequest { lease_ms: Some(100), ..write("a") };
        let reentrant = AcquireRequest { reentrant: true, ..leased.clone() };
        assert_eq!(lock.acquire(0, reentrant), Err(ErrorCode::Invalid));
        lock.hold(0, leased);
    }

    #[test]
    fn the_queue_and_the_sharing_of_a_grant_are_bounded() {
        let mut lock = Lock::new();
        lock.machine.limits.waiters = 2;
        lock.hold(1, write("a"));
        lock.wait(2, write("b"));
        lock.wait(3, write("c"));
        assert_eq!(lock.acquire(4, write("d")), Err(ErrorCode::ResourceExhausted));
        let reentrant = |request_id| AcquireRequest { reentrant: true, ..write(request_id) };
        lock.hold(1, reentrant("a2"));
        assert_eq!(lock.acquire(1, reentrant("a3")), Err(ErrorCode::ResourceExhausted));
        lock.release(2, "b", 0).unwrap();
        lock.wait(4, write("d"));
    }
}
