//! `lock get`: who holds the lock and who waits for it.

use synod_proto::lock::v1::get_response::{Holder as HolderInfo, Waiter as WaiterInfo};
use synod_proto::lock::v1::{GetRequest, GetResponse};
use synod_types::PrimitiveKind;

use super::record::{Header, Holder, Waiter, mode};
use crate::context::{Outcome, View};
use crate::keys::Record;
use crate::query::Answer;

impl Answer for GetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = GetResponse;

    /// Lists holders in the order of their fences, one for each request id, and waiters in that of the queue.
    fn answer(&self, view: &View<'_>) -> Outcome<GetResponse> {
        let header = Header::read(view)?;
        let mut holders = Vec::new();
        for pair in view.numbered::<Holder>(Record::Holder, "lock holder") {
            let (fence, holder) = pair?;
            let lease_left_ms = holder.lease.map(|lease| lease.left_ms(&view.environment));
            holders.extend(holder.request_ids.into_iter().map(|request_id| HolderInfo {
                request_id,
                session_id: holder.session,
                mode: mode(header.reading).into(),
                fence,
                lease_left_ms,
                metadata: holder.metadata.clone(),
            }));
        }
        let mut queue = Vec::new();
        for pair in view.numbered::<Waiter>(Record::Queue, "lock waiter") {
            let (_, waiter) = pair?;
            queue.push(WaiterInfo {
                mode: waiter.mode().into(),
                request_id: waiter.request_id,
                session_id: waiter.session,
                metadata: waiter.metadata,
            });
        }
        let until = header.delay.map_or(0, |delay| delay.timer().deadline.get());
        Ok(GetResponse {
            holders,
            queue,
            last_fence: header.last_fence,
            unavailable_ms: until.saturating_sub(view.environment.now.get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::lock::v1::{AcquireRequest, Mode};

    use super::super::tests::{Lock, read, write};
    use super::*;

    #[test]
    fn it_shows_who_holds_and_who_waits() {
        let mut lock = Lock::new();
        assert_eq!(lock.get(), GetResponse::default());
        let metadata = || "pod-1".to_owned();
        let fence = lock.hold(1, AcquireRequest { lease_ms: Some(500), metadata: metadata(), ..write("a") });
        lock.wait(2, AcquireRequest { metadata: metadata(), ..read("b") });
        lock.machine.advance_ms(100);
        let holder = HolderInfo {
            request_id: "a".into(),
            session_id: 1,
            mode: Mode::Write.into(),
            fence,
            lease_left_ms: Some(400),
            metadata: metadata(),
        };
        let waiter = WaiterInfo {
            request_id: "b".into(),
            session_id: 2,
            mode: Mode::Read.into(),
            metadata: metadata(),
        };
        let expected =
            GetResponse { holders: vec![holder], queue: vec![waiter], last_fence: fence, unavailable_ms: 0 };
        assert_eq!(lock.get(), expected);
    }
}
