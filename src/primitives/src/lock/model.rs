//! The lock against a plain model of lists, and what must hold whatever happens to it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use synod_proto::lock::v1::acquire_response::Outcome as Answered;
use synod_proto::lock::v1::event::{Event as What, Reason};
use synod_proto::lock::v1::{AcquireRequest, Mode};
use synod_types::{ErrorCode, SessionId};

use super::tests::{Lock, read, write};

/// An event, without its fence.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Granted { reading: bool, lease_ms: Option<u64> },
    Queued(u64),
    Renewed(u64),
    Released,
    Lost(Reason),
    GaveUp(Reason),
}

impl From<&What> for Seen {
    fn from(event: &What) -> Self {
        match event {
            What::Granted(event) => {
                Self::Granted { reading: event.mode() == Mode::Read, lease_ms: event.lease_ms }
            }
            What::Queued(event) => Self::Queued(event.ahead),
            What::Renewed(event) => Self::Renewed(event.lease_ms),
            What::Released(_) => Self::Released,
            What::Lost(event) => Self::Lost(event.reason()),
            What::GaveUp(event) => Self::GaveUp(event.reason()),
        }
    }
}

#[derive(Clone, Debug)]
struct Claim {
    request_id: String,
    session: u64,
    reading: bool,
    lease_ms: Option<u64>,
    delay_ms: u64,
    /// The command that queued it, and the deadline of the wait.
    queued: (u64, Option<u64>),
}

#[derive(Clone, Debug)]
struct Grant {
    /// The how-many-th grant of the lock it is, which orders timers as the fence does.
    number: u64,
    fence: u64,
    request_ids: Vec<String>,
    session: u64,
    delay_ms: u64,
    /// Length, deadline, and the command that set it.
    lease: Option<(u64, u64, u64)>,
}

/// A timer in the order in which timers fire: deadline, index, then its own key.
type Timer = (u64, u64, Own);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Own {
    Delay,
    Memory(String),
    Lease(u64),
    Wait(u64),
}

/// What the lock should be, written as plainly as can be.
#[derive(Default)]
struct Model {
    index: u64,
    now: u64,
    leader_since: u64,
    grants: u64,
    reading: bool,
    holders: Vec<Grant>,
    queue: Vec<Claim>,
    /// Until when a request id that is over is remembered, and the command that set that.
    ended: BTreeMap<String, (u64, u64)>,
    unavailable: Option<(u64, u64)>,
    events: Vec<(String, Seen)>,
}

impl Model {
    fn emit(&mut self, request_id: &str, seen: Seen) {
        self.events.push((request_id.to_owned(), seen));
    }

    fn is_free_for(&self, reading: bool) -> bool {
        self.unavailable.is_none() && (self.holders.is_empty() || (self.reading && reading))
    }

    fn grant(&mut self, claim: Claim) {
        self.grants += 1;
        self.reading = claim.reading;
        self.emit(&claim.request_id, Seen::Granted { reading: claim.reading, lease_ms: claim.lease_ms });
        self.holders.push(Grant {
            number: self.grants,
            fence: 0,
            request_ids: vec![claim.request_id],
            session: claim.session,
            delay_ms: claim.delay_ms,
            lease: claim.lease_ms.map(|length| (length, self.now + length, self.index)),
        });
    }

    fn grant_waiters(&mut self) {
        while self.queue.first().is_some_and(|first| self.is_free_for(first.reading)) {
            let first = self.queue.remove(0);
            self.grant(first);
        }
    }

    fn end(&mut self, request_id: &str, seen: Seen) {
        self.ended.insert(request_id.to_owned(), (self.now + 600_000, self.index));
        self.emit(request_id, seen);
    }

    fn lose(&mut self, at: usize, reason: Reason) {
        let grant = self.holders.remove(at);
        let until = self.now + grant.delay_ms;
        let longer = self.unavailable.is_none_or(|(unavailable, _)| until > unavailable);
        if reason != Reason::Forced && until > self.now && longer {
            self.unavailable = Some((until, self.index));
        }
        for request_id in &grant.request_ids {
            self.end(request_id, Seen::Lost(reason));
        }
    }

    fn give_up(&mut self, at: usize, reason: Reason) {
        let claim = self.queue.remove(at);
        self.end(&claim.request_id, Seen::GaveUp(reason));
    }

    fn holding(&self, request_id: &str) -> Option<usize> {
        self.holders.iter().position(|grant| grant.request_ids.iter().any(|id| id == request_id))
    }

    fn waiting(&self, request_id: &str) -> Option<usize> {
        self.queue.iter().position(|claim| claim.request_id == request_id)
    }

    fn acquire(&mut self, acquire: &Acquire) -> Result<(), ErrorCode> {
        let claim = acquire.claim(self.index, self.now);
        let owner = if let Some(at) = self.holding(&claim.request_id) {
            Some(self.holders[at].session)
        } else {
            self.waiting(&claim.request_id).map(|at| self.queue[at].session)
        };
        if claim.session == 0 && (claim.lease_ms.is_none() || acquire.reentrant) {
            return Err(ErrorCode::Invalid);
        } else if let Some(owner) = owner {
            return if owner == claim.session { Ok(()) } else { Err(ErrorCode::AlreadyExists) };
        } else if self.ended.contains_key(&claim.request_id) {
            return Err(ErrorCode::NotHeld);
        }
        let own = self.holders.iter_mut().filter(|grant| grant.session == claim.session);
        let own = own.min_by_key(|grant| grant.request_ids.iter().min().cloned());
        if let Some(own) = own.filter(|_| acquire.reentrant) {
            if self.reading && !claim.reading {
                return Err(ErrorCode::Invalid);
            }
            own.request_ids.push(claim.request_id.clone());
            let lease_ms = own.lease.map(|(length, _, _)| length);
            self.reading = claim.reading;
            self.emit(&claim.request_id, Seen::Granted { reading: claim.reading, lease_ms });
            self.grant_waiters();
        } else if self.queue.is_empty() && self.is_free_for(claim.reading) {
            self.grant(claim);
        } else if acquire.max_wait_ms == Some(0) {
            return Err(ErrorCode::Expired);
        } else {
            self.emit(&claim.request_id, Seen::Queued(self.queue.len() as u64));
            self.queue.push(claim);
        }
        Ok(())
    }

    fn release(&mut self, session: u64, request_id: &str, fence: u64) -> Result<bool, ErrorCode> {
        if let Some(at) = self.holding(request_id) {
            let grant = &mut self.holders[at];
            let allowed = if fence == 0 { grant.session == session } else { grant.fence == fence };
            if !allowed {
                return Err(ErrorCode::NotHeld);
            }
            grant.request_ids.retain(|id| id != request_id);
            if grant.request_ids.is_empty() {
                self.holders.remove(at);
            }
            self.end(request_id, Seen::Released);
            self.grant_waiters();
            return Ok(true);
        }
        if let Some(at) = self.waiting(request_id) {
            if fence != 0 || self.queue[at].session != session {
                return Err(ErrorCode::NotHeld);
            }
            self.give_up(at, Reason::Withdrawn);
            self.grant_waiters();
        } else if self.holders.iter().any(|grant| grant.fence == fence) {
            return Err(ErrorCode::NotHeld);
        } else if fence == 0 && !self.ended.contains_key(request_id) {
            self.ended.insert(request_id.to_owned(), (self.now + 600_000, self.index));
        }
        Ok(false)
    }

    fn renew(&mut self, request_id: &str, fence: u64, lease_ms: Option<u64>) -> Result<(), ErrorCode> {
        let at = self.holding(request_id).filter(|at| self.holders[*at].fence == fence);
        let at = at.ok_or(ErrorCode::NotHeld)?;
        let length = lease_ms.or(self.holders[at].lease.map(|(length, _, _)| length));
        let length = length.ok_or(ErrorCode::Invalid)?;
        self.holders[at].lease = Some((length, self.now + length, self.index));
        self.emit(request_id, Seen::Renewed(length));
        Ok(())
    }

    fn force_release(&mut self, fence: u64) -> Result<(), ErrorCode> {
        let at = self.holders.iter().position(|grant| grant.fence == fence).ok_or(ErrorCode::NotHeld)?;
        self.lose(at, Reason::Forced);
        self.grant_waiters();
        Ok(())
    }

    fn end_session(&mut self, session: u64) {
        let mut owned: Vec<_> = self.queue.iter().filter(|claim| claim.session == session).collect();
        let mut owned: Vec<_> = owned.drain(..).map(|claim| claim.request_id.clone()).collect();
        let grants = self.holders.iter().filter(|grant| grant.session == session);
        owned.extend(grants.flat_map(|grant| grant.request_ids.clone()));
        owned.sort();
        for request_id in owned {
            if let Some(at) = self.holding(&request_id) {
                self.lose(at, Reason::SessionEnded);
            } else if let Some(at) = self.waiting(&request_id) {
                self.give_up(at, Reason::SessionEnded);
            }
        }
        self.grant_waiters();
    }

    fn first_timer(&self) -> Option<Timer> {
        let leases = self.holders.iter().filter_map(|grant| {
            grant.lease.map(|(_, deadline, index)| (deadline, index, Own::Lease(grant.number)))
        });
        let waits = self.queue.iter().filter_map(|claim| {
            let (index, deadline) = claim.queued;
            deadline.map(|deadline| (deadline, index, Own::Wait(index)))
        });
        let memory = self.ended.iter().map(|(id, (until, index))| (*until, *index, Own::Memory(id.clone())));
        let delay = self.unavailable.map(|(until, index)| (until, index, Own::Delay));
        leases.chain(waits).chain(memory).chain(delay).min()
    }

    /// Fires what is due at `until`; like every timer with the index of the command to come.
    fn advance(&mut self, until: u64) {
        while let Some((deadline, _, own)) = self.first_timer().filter(|(deadline, ..)| *deadline <= until) {
            self.now = deadline;
            match own {
                Own::Delay => self.unavailable = None,
                Own::Memory(request_id) => drop(self.ended.remove(&request_id)),
                Own::Lease(number) => {
                    let at = self.holders.iter().position(|grant| grant.number == number).unwrap();
                    let lease = self.holders[at].lease.as_mut().unwrap();
                    if self.leader_since + lease.0 > deadline {
                        *lease = (lease.0, self.leader_since + lease.0, self.index);
                    } else {
                        self.lose(at, Reason::LeaseExpired);
                    }
                }
                Own::Wait(index) => {
                    let at = self.queue.iter().position(|claim| claim.queued.0 == index).unwrap();
                    self.give_up(at, Reason::WaitExpired);
                }
            }
            self.grant_waiters();
        }
        self.now = until;
    }
}

#[derive(Clone, Debug)]
struct Acquire {
    session: u64,
    request_id: usize,
    reading: bool,
    max_wait_ms: Option<u64>,
    lease_ms: Option<u64>,
    reentrant: bool,
    delay_ms: u64,
}

impl Acquire {
    fn request(&self) -> AcquireRequest {
        let request_id = name(self.request_id);
        AcquireRequest {
            max_wait_ms: self.max_wait_ms,
            lease_ms: self.lease_ms,
            reentrant: self.reentrant,
            lock_delay_ms: self.delay_ms,
            ..if self.reading { read(&request_id) } else { write(&request_id) }
        }
    }

    fn claim(&self, index: u64, now: u64) -> Claim {
        Claim {
            request_id: name(self.request_id),
            session: self.session,
            reading: self.reading,
            lease_ms: self.lease_ms,
            delay_ms: self.delay_ms,
            queued: (index, self.max_wait_ms.map(|max_wait_ms| now + max_wait_ms)),
        }
    }
}

fn name(request: usize) -> String {
    format!("r{request:02}")
}

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
