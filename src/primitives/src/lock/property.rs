//! The lock against its model, and what must hold whatever happens to it.

use proptest::prelude::*;
use synod_proto::lock::v1::Mode;
use synod_proto::lock::v1::acquire_response::Outcome as Answered;
use synod_proto::lock::v1::event::Event as What;
use synod_types::SessionId;

use super::model::{Acquire, Model, Seen, name};
use super::tests::Lock;

/// Which fence a command names.
#[derive(Clone, Copy, Debug)]
enum Named {
    Zero,
    /// The one of the holder in this place, modulo their number.
    Holder(usize),
    /// One that was never granted.
    Unknown,
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(Acquire),
    Release(u64, usize, Named),
    Renew(usize, Named, Option<u64>),
    ForceRelease(Named),
    EndSession(u64),
    Advance(u64),
    ChangeLeader(u64),
    Restore,
}

const REQUESTS: usize = 24;

fn acquires() -> impl Strategy<Value = Step> {
    let max_wait_ms = prop_oneof![3 => Just(None), 1 => Just(Some(0)), 2 => (1u64..300).prop_map(Some)];
    let delay_ms = prop_oneof![3 => Just(0u64), 1 => 1u64..100];
    (
        0u64..4,
        0..REQUESTS,
        any::<bool>(),
        max_wait_ms,
        prop::option::of(100u64..300),
        prop::bool::weighted(0.2),
        delay_ms,
    )
        .prop_map(|(session, request_id, reading, max_wait_ms, lease_ms, reentrant, delay_ms)| {
            Step::Acquire(Acquire {
                session,
                request_id,
                reading,
                max_wait_ms,
                lease_ms,
                reentrant,
                delay_ms,
            })
        })
}

fn fences() -> impl Strategy<Value = Named> {
    prop_oneof![3 => Just(Named::Zero), 4 => (0usize..4).prop_map(Named::Holder), 1 => Just(Named::Unknown)]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => acquires(),
        4 => (0u64..4, 0..REQUESTS, fences()).prop_map(|(session, id, fence)| Step::Release(session, id, fence)),
        2 => (0..REQUESTS, fences(), prop::option::of(100u64..300))
            .prop_map(|(id, fence, lease_ms)| Step::Renew(id, fence, lease_ms)),
        1 => fences().prop_map(Step::ForceRelease),
        1 => (1u64..4).prop_map(Step::EndSession),
        4 => prop_oneof![9 => 1u64..150, 1 => Just(600_000)].prop_map(Step::Advance),
        1 => (1u64..150).prop_map(Step::ChangeLeader),
        1 => Just(Step::Restore),
    ]
}

/// The lock and its model, side by side.
struct Pair {
    lock: Lock,
    model: Model,
    last_fence: u64,
}

impl Pair {
    fn new() -> Self {
        let lock = Lock::new();
        let model = Model { now: lock.machine.now.get(), ..Model::default() };
        Self { lock, model, last_fence: 0 }
    }

    fn fence(&self, named: Named) -> u64 {
        let holders = &self.model.holders;
        match named {
            Named::Zero => 0,
            Named::Holder(at) => at.checked_rem(holders.len()).map_or(0, |at| holders[at].fence),
            Named::Unknown => u64::MAX,
        }
    }

    fn perform(&mut self, step: &Step) {
        let index = self.lock.machine.index.next().get();
        let now = self.lock.machine.now.get();
        let lock = &mut self.lock;
        self.model.index = index;
        match step {
            Step::Acquire(acquire) => {
                let answer = lock.acquire(acquire.session, acquire.request());
                let expected = self.model.acquire(acquire);
                assert_eq!(answer.as_ref().map(|_| ()).map_err(|code| *code), expected);
                self.check_answer(&name(acquire.request_id), answer.ok());
            }
            Step::Release(session, request_id, named) => {
                let (request_id, fence) = (name(*request_id), self.fence(*named));
                let expected = self.model.release(*session, &request_id, fence);
                assert_eq!(self.lock.release(*session, &request_id, fence), expected);
            }
            Step::Renew(request_id, named, lease_ms) => {
                let (request_id, fence) = (name(*request_id), self.fence(*named));
                let expected = self.model.renew(&request_id, fence, *lease_ms);
                assert_eq!(self.lock.renew(&request_id, fence, *lease_ms).map(|_| ()), expected);
            }
            Step::ForceRelease(named) => {
                let fence = self.fence(*named);
                let expected = self.model.force_release(fence);
                assert_eq!(self.lock.force_release(fence), expected);
            }
            Step::EndSession(session) => {
                lock.machine.end_session(SessionId(*session));
                self.model.end_session(*session);
            }
            Step::Advance(duration_ms) => {
                lock.machine.advance_ms(*duration_ms);
                self.model.advance(now + duration_ms);
            }
            Step::ChangeLeader(duration_ms) => {
                lock.machine.change_leader_after_ms(*duration_ms);
                self.model.leader_since = now + duration_ms;
                self.model.advance(now + duration_ms);
            }
            Step::Restore => lock.machine = lock.machine.restored(),
        }
        self.check();
    }

    /// The answer says what has become of the request.
    fn check_answer(&self, request_id: &str, answer: Option<Answered>) {
        match answer {
            Some(Answered::Granted(_)) => assert!(self.model.holding(request_id).is_some()),
            Some(Answered::Queued(queued)) => {
                assert_eq!(self.model.waiting(request_id), Some(queued.ahead as usize));
            }
            None => {}
        }
    }

    fn check(&mut self) {
        let events = self.lock.events();
        let seen: Vec<_> = events.iter().map(|(id, what)| (id.clone(), Seen::from(what))).collect();
        assert_eq!(seen, std::mem::take(&mut self.model.events));
        for (request_id, what) in &events {
            if let What::Granted(granted) = what {
                self.check_fence(request_id, granted.fence);
            }
        }
        let found = self.lock.get();
        let modes: Vec<_> = found.holders.iter().map(|holder| (holder.fence, holder.mode())).collect();
        let exclusive = modes.iter().all(|(fence, _)| *fence == modes[0].0);
        let shared = modes.iter().all(|(_, mode)| *mode == Mode::Read);
        assert!(exclusive || shared, "{modes:?}");
        let held: Vec<_> = self.model.holders.iter().flat_map(|grant| &grant.request_ids).collect();
        assert!(found.holders.iter().map(|holder| &holder.request_id).eq(held));
        let queue = self.model.queue.iter().map(|claim| &claim.request_id);
        assert!(found.queue.iter().map(|waiter| &waiter.request_id).eq(queue));
        let unavailable_ms = self.model.unavailable.map_or(0, |(until, _)| until - self.model.now);
        assert_eq!((found.last_fence, found.unavailable_ms), (self.last_fence, unavailable_ms));
    }

    /// A fence that is new is greater than all before, and at most one above the index. One that is not new is shared.
    fn check_fence(&mut self, request_id: &str, fence: u64) {
        let Some(at) = self.model.holding(request_id) else {
            // Granted and lost again within one step.
            assert!(fence > self.last_fence);
            self.last_fence = fence;
            return;
        };
        let grant = &mut self.model.holders[at];
        if grant.fence == 0 {
            assert!(fence > self.last_fence && fence <= self.model.index + 1, "{fence}");
            (grant.fence, self.last_fence) = (fence, fence);
        }
        assert_eq!(fence, grant.fence);
    }
}

proptest! {
    #[test]
    fn it_behaves_like_lists_and_everybody_gets_their_turn(steps in prop::collection::vec(steps(), 1..80)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.perform(step);
        }
        // Once nobody new comes, releasing what is held serves the whole queue.
        while !pair.model.holders.is_empty() || !pair.model.queue.is_empty() {
            let before = pair.model.holders.len() + pair.model.queue.len();
            pair.perform(&Step::Advance(100));
            pair.perform(&Step::ForceRelease(Named::Holder(0)));
            prop_assert!(pair.model.holders.len() + pair.model.queue.len() < before);
        }
    }
}
