//! What a lock should be, written as plainly as can be: lists, searched from end to end.

use std::collections::BTreeMap;

use synod_proto::lock::v1::event::{Event as What, Reason};
use synod_proto::lock::v1::{AcquireRequest, Mode};
use synod_types::ErrorCode;

use super::tests::{read, write};

/// An event, without its fence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
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
pub(super) struct Acquire {
    pub(super) session: u64,
    pub(super) request_id: usize,
    pub(super) reading: bool,
    pub(super) max_wait_ms: Option<u64>,
    pub(super) lease_ms: Option<u64>,
    pub(super) reentrant: bool,
    pub(super) delay_ms: u64,
}

impl Acquire {
    pub(super) fn request(&self) -> AcquireRequest {
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

pub(super) fn name(request: usize) -> String {
    format!("r{request:02}")
}

#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) request_id: String,
    pub(super) session: u64,
    pub(super) reading: bool,
    pub(super) lease_ms: Option<u64>,
    pub(super) delay_ms: u64,
    /// The command that queued it, and the deadline of the wait.
    pub(super) queued: (u64, Option<u64>),
}

#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// The how-many-th grant of the lock it is, which orders timers as the fence does.
    pub(super) number: u64,
    pub(super) fence: u64,
    pub(super) request_ids: Vec<String>,
    pub(super) session: u64,
    pub(super) delay_ms: u64,
    /// Length, deadline, and the command that set it.
    pub(super) lease: Option<(u64, u64, u64)>,
}

/// A timer in the order in which timers fire: deadline, index, then its own key.
type Timer = (u64, u64, Own);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Own {
    Delay,
    Memory(String),
    Lease(u64),
    Wait(u64),
}

/// What the lock should be, written as plainly as can be.
#[derive(Default)]
pub(super) struct Model {
    pub(super) index: u64,
    pub(super) now: u64,
    pub(super) leader_since: u64,
    pub(super) grants: u64,
    pub(super) reading: bool,
    pub(super) holders: Vec<Grant>,
    pub(super) queue: Vec<Claim>,
    /// Until when a request id that is over is remembered, and the command that set that.
    pub(super) ended: BTreeMap<String, (u64, u64)>,
    pub(super) unavailable: Option<(u64, u64)>,
    pub(super) events: Vec<(String, Seen)>,
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

    pub(super) fn holding(&self, request_id: &str) -> Option<usize> {
        self.holders.iter().position(|grant| grant.request_ids.iter().any(|id| id == request_id))
    }

    pub(super) fn waiting(&self, request_id: &str) -> Option<usize> {
        self.queue.iter().position(|claim| claim.request_id == request_id)
    }

    pub(super) fn acquire(&mut self, acquire: &Acquire) -> Result<(), ErrorCode> {
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

    pub(super) fn release(&mut self, session: u64, request_id: &str, fence: u64) -> Result<bool, ErrorCode> {
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

    pub(super) fn renew(
        &mut self,
        request_id: &str,
        fence: u64,
        lease_ms: Option<u64>,
    ) -> Result<(), ErrorCode> {
        let at = self.holding(request_id).filter(|at| self.holders[*at].fence == fence);
        let at = at.ok_or(ErrorCode::NotHeld)?;
        let length = lease_ms.or(self.holders[at].lease.map(|(length, _, _)| length));
        let length = length.ok_or(ErrorCode::Invalid)?;
        self.holders[at].lease = Some((length, self.now + length, self.index));
        self.emit(request_id, Seen::Renewed(length));
        Ok(())
    }

    pub(super) fn force_release(&mut self, fence: u64) -> Result<(), ErrorCode> {
        let at = self.holders.iter().position(|grant| grant.fence == fence).ok_or(ErrorCode::NotHeld)?;
        self.lose(at, Reason::Forced);
        self.grant_waiters();
        Ok(())
    }

    pub(super) fn end_session(&mut self, session: u64) {
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
    pub(super) fn advance(&mut self, until: u64) {
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
