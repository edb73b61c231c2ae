//! `lock force release`: ends the grant that has a fence, whoever owns it.

use synod_proto::lock::v1::event::Reason;
use synod_proto::lock::v1::{ForceReleaseRequest, ForceReleaseResponse};
use synod_types::{ErrorCode, Fence, PrimitiveKind};

use super::record::Holder;
use super::transition::Transition;
use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for ForceReleaseRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = ForceReleaseResponse;

    /// Ends the grant for all who share it, without the delay of a loss. Rejects with `NotHeld` when no grant has this
    /// fence.
    fn apply(self, context: &mut Context<'_>) -> Outcome<ForceReleaseResponse> {
        let fence = Fence(self.fence);
        let holder = Holder::read(&context.view(), fence)?.ok_or_else(|| {
            let message = format!("nobody holds the lock under fence {fence}");
            Failure::rejected(ErrorCode::NotHeld, message)
        })?;
        let mut transition = Transition::start(context)?;
        transition.lose(fence, holder, Reason::Forced)?;
        transition.finish()?;
        Ok(ForceReleaseResponse {})
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::lock::v1::AcquireRequest;

    use super::super::tests::{Lock, write};
    use super::*;

    #[test]
    fn it_ends_the_grant_of_the_fence_for_all_who_share_it_and_without_delay() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, AcquireRequest { lock_delay_ms: 1_000, ..write("a") });
        lock.hold(1, AcquireRequest { reentrant: true, ..write("b") });
        lock.wait(2, write("c"));
        assert_eq!(lock.force_release(fence), Ok(()));
        assert_eq!(lock.holders(), ["c"]);
        assert_eq!(lock.release(1, "a", fence), Ok(false));
        assert_eq!(lock.release(1, "b", fence), Ok(false));
    }

    #[test]
    fn it_never_ends_another_grant() {
        let mut lock = Lock::new();
        let old = lock.hold(1, write("a"));
        lock.release(1, "a", old).unwrap();
        let new = lock.hold(2, write("b"));
        for fence in [0, old, new + 1] {
            assert_eq!(lock.force_release(fence), Err(ErrorCode::NotHeld));
        }
        assert!(lock.is_current(new));
    }
}
