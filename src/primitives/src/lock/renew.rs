//! `lock renew`: gives a lease its full length again, from now.

use synod_proto::lock::v1::event::{Event as What, Renewed};
use synod_proto::lock::v1::{RenewRequest, RenewResponse};
use synod_types::{ErrorCode, Fence, PrimitiveKind};

use super::record::{Holder, Lease};
use super::timer::Purpose;
use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for RenewRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = RenewResponse;

    /// Rejects with `NotHeld` when the request id does not hold under this fence, with `Invalid` when the grant has no
    /// lease and the request gives none.
    fn apply(self, context: &mut Context<'_>) -> Outcome<RenewResponse> {
        super::check_request_id(&self.request_id)?;
        super::check_lease(self.lease_ms)?;
        let fence = Fence(self.fence);
        let mut holder = Holder::read(&context.view(), fence)?
            .filter(|holder| holder.request_ids.contains(&self.request_id))
            .ok_or_else(|| super::not_held(&self.request_id, fence))?;
        let length_ms = self.lease_ms.or(holder.lease.map(|lease| lease.length_ms));
        let Some(lease_ms) = length_ms else {
            let message = "the grant has no lease, its session keeps it: give a lease_ms to add one";
            return Err(Failure::rejected(ErrorCode::Invalid, message));
        };
        let purpose = Purpose::Lease(fence).encode();
        if let Some(lease) = holder.lease {
            context.cancel_timer(lease.timer(), &purpose)?;
        }
        let timer = context.set_timer(context.now().plus_ms(lease_ms), &purpose)?;
        holder.lease = Some(Lease::new(lease_ms, timer));
        holder.write(context, fence)?;
        let event = Renewed { fence: fence.get(), lease_ms };
        super::emit(context, self.request_id, What::Renewed(event));
        Ok(RenewResponse { lease_ms })
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::lock::v1::AcquireRequest;

    use super::super::tests::{Lock, write};
    use super::*;

    #[test]
    fn a_renewal_counts_from_now_and_may_change_the_length() {
        let mut lock = Lock::new();
        let fence = lock.hold(0, AcquireRequest { lease_ms: Some(1_000), ..write("a") });
        lock.machine.advance_ms(900);
        assert_eq!(lock.renew("a", fence, None), Ok(1_000));
        assert_eq!(lock.machine.advance_ms(999), 0);
        assert_eq!(lock.renew("a", fence, Some(200)), Ok(200));
        assert_eq!(lock.machine.advance_ms(199), 0);
        assert!(lock.is_current(fence));
        assert_eq!(lock.machine.advance_ms(1), 1);
        assert!(!lock.is_current(fence));
    }

    #[test]
    fn only_the_current_fence_of_the_request_is_renewed() {
        let mut lock = Lock::new();
        let leased = |request_id| AcquireRequest { lease_ms: Some(1_000), ..write(request_id) };
        let first = lock.hold(0, leased("a"));
        lock.wait(0, leased("b"));
        assert_eq!(lock.renew("a", first + 1, None), Err(ErrorCode::NotHeld));
        assert_eq!(lock.renew("b", first, None), Err(ErrorCode::NotHeld));
        assert_eq!(lock.renew("b", 0, None), Err(ErrorCode::NotHeld));
        lock.machine.advance_ms(1_000);
        assert_eq!(lock.renew("a", first, None), Err(ErrorCode::NotHeld));
        assert_eq!(lock.holders(), ["b"]);
    }

    #[test]
    fn a_grant_without_a_lease_gets_one_only_if_its_length_is_given() {
        let mut lock = Lock::new();
        let fence = lock.hold(1, write("a"));
        assert_eq!(lock.renew("a", fence, None), Err(ErrorCode::Invalid));
        assert_eq!(lock.renew("a", fence, Some(99)), Err(ErrorCode::Invalid));
        assert_eq!(lock.renew("a", fence, Some(100)), Ok(100));
        assert_eq!(lock.machine.advance_ms(100), 1);
        assert!(!lock.is_current(fence));
    }
}
