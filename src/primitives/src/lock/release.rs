//! `lock release`: gives the lock back, or gives up waiting for it.

use synod_proto::lock::v1::event::Reason;
use synod_proto::lock::v1::{ReleaseRequest, ReleaseResponse};
use synod_types::{ErrorCode, Fence, PrimitiveKind, SessionId};

use super::record::{Holder, Request, State, Waiter};
use super::transition::{Transition, remember};
use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for ReleaseRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = ReleaseResponse;

    /// Releasing what is over already, or never was, is no error. Rejects with `NotHeld` a fence under which the request
    /// id does not hold while it holds, waits, or another holds under it; and without a fence, the request of another
    /// session.
    fn apply(self, context: &mut Context<'_>) -> Outcome<ReleaseResponse> {
        super::check_request_id(&self.request_id)?;
        match Request::read(&context.view(), &self.request_id)? {
            Some(State::Held(fence)) => release(context, self, Fence(fence)),
            Some(State::Waiting(place)) => withdraw(context, self, place),
            over @ (Some(State::Ended(_)) | None) => {
                let fence = Fence(self.fence);
                if Holder::read(&context.view(), fence)?.is_some() {
                    return Err(super::not_held(&self.request_id, fence));
                }
                if over.is_none() && fence == Fence::default() {
                    remember(context, &self.request_id, Reason::Withdrawn)?;
                }
                Ok(ReleaseResponse { was_held: false })
            }
        }
    }
}

fn release(context: &mut Context<'_>, request: ReleaseRequest, fence: Fence) -> Outcome<ReleaseResponse> {
    let holder = Holder::expect(&context.view(), fence)?;
    if request.fence == 0 {
        check_session(context, &request.request_id, holder.session())?;
    } else if request.fence != fence.get() {
        return Err(super::not_held(&request.request_id, Fence(request.fence)));
    }
    let mut transition = Transition::start(context)?;
    transition.release(fence, holder, request.request_id)?;
    transition.finish()?;
    Ok(ReleaseResponse { was_held: true })
}

fn withdraw(context: &mut Context<'_>, request: ReleaseRequest, place: u64) -> Outcome<ReleaseResponse> {
    if request.fence != 0 {
        return Err(super::not_held(&request.request_id, Fence(request.fence)));
    }
    let waiter = Waiter::expect(&context.view(), place)?;
    check_session(context, &request.request_id, waiter.session())?;
    let mut transition = Transition::start(context)?;
    transition.give_up(place, waiter, Reason::Withdrawn)?;
    transition.finish()?;
    Ok(ReleaseResponse { was_held: false })
}

/// Without a fence only the session that made a request may end it, so that a request id that is used twice by mistake
/// takes the lock from nobody.
fn check_session(context: &Context<'_>, request_id: &str, owner: SessionId) -> Outcome<()> {
    if context.environment.session == owner {
        return Ok(());
    }
    let message =
        format!("request \"{request_id}\" was made by another session: give its fence to release it");
    Err(Failure::rejected(ErrorCode::NotHeld, message))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Lock, read, write};
    use super::*;

    #[test]
    fn it_is_idempotent() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        assert_eq!(lock.release(1, "a", fence), Ok(true));
        assert_eq!(lock.release(1, "a", fence), Ok(false));
        assert_eq!(lock.release(1, "a", 0), Ok(false));
    }

    #[test]
    fn bug_retried_unlock_does_not_release_a_newer_grant() {
        let mut lock = Lock::new();
        let old = lock.hold(1, write("a"));
        lock.release(1, "a", old).unwrap();
        let new = lock.hold(1, write("b"));
        assert_eq!(lock.release(1, "a", old), Ok(false));
        assert_eq!(lock.release(1, "b", old), Err(ErrorCode::NotHeld));
        assert_eq!(lock.release(1, "a", new), Err(ErrorCode::NotHeld));
        // The memory of the first is gone, and its request id is in use again.
        lock.release(1, "b", new).unwrap();
        lock.machine.advance_ms(600_000);
        let newest = lock.hold(1, write("a"));
        assert_eq!(lock.release(1, "a", old), Err(ErrorCode::NotHeld));
        assert!(lock.is_current(newest));
    }

    #[test]
    fn bug_a_fence_does_not_release_what_somebody_else_holds() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        lock.wait(2, write("b"));
        assert_eq!(lock.release(2, "b", fence), Err(ErrorCode::NotHeld));
        assert_eq!(lock.release(2, "c", fence), Err(ErrorCode::NotHeld));
        assert!(lock.is_current(fence));
    }

    #[test]
    fn without_a_fence_only_the_session_that_asked_may_release() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        lock.wait(1, write("b"));
        assert_eq!(lock.release(2, "a", 0), Err(ErrorCode::NotHeld));
        assert_eq!(lock.release(2, "b", 0), Err(ErrorCode::NotHeld));
        assert_eq!(lock.release(2, "a", fence), Ok(true));
        assert_eq!(lock.release(1, "b", 0), Ok(true));
    }

    #[test]
    fn a_waiter_that_withdraws_lets_those_behind_through() {
        let mut lock = Lock::new();
        lock.hold(1, read("a"));
        lock.wait(2, write("b"));
        lock.wait(3, read("c"));
        assert_eq!(lock.release(2, "b", 0), Ok(false));
        assert_eq!(lock.holders(), ["a", "c"]);
        assert_eq!(lock.acquire(2, write("b")), Err(ErrorCode::NotHeld));
    }

    #[test]
    fn bug_an_acquisition_that_arrives_after_its_withdrawal_holds_nothing() {
        let mut lock = Lock::new();
        assert_eq!(lock.release(1, "a", 0), Ok(false));
        assert_eq!(lock.acquire(1, write("a")), Err(ErrorCode::NotHeld));
        assert_eq!(
            lock.machine.last_error(),
            "request \"a\" was withdrawn: acquire again under a new request id"
        );
        lock.machine.advance_ms(600_000);
        lock.hold(1, write("a"));
    }

    #[test]
    fn a_request_id_out_of_bounds_is_refused() {
        let mut lock = Lock::new();
        assert_eq!(lock.release(1, "", 0), Err(ErrorCode::Invalid));
    }
}
