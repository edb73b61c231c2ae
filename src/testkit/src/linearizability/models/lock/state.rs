//! The state of a lock, and what grants, releases and losses make of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_types::Monotonic;

use super::super::ClockBound;
use super::Acquire;
use super::fence::FenceRange;

/// How long a request id that is over is remembered.
const MEMORY: Duration = Duration::from_secs(600);

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grant {
    pub(super) fence: FenceRange,
    /// Who shares it, in the order in which they came.
    pub(super) requests: Vec<String>,
    pub(super) session: u64,
    pub(super) lease: Option<Lease>,
    pub(super) delay: Duration,
}

/// A lease: its length, and when it ends at the earliest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) length: Duration,
    pub(super) ends: Monotonic,
}

/// A request in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiter {
    pub(super) request: String,
    pub(super) session: u64,
    pub(super) reading: bool,
    pub(super) lease: Option<Duration>,
    pub(super) delay: Duration,
    /// When it came at the earliest.
    since: Monotonic,
    /// When it gives up at the earliest, if it does.
    pub(super) gives_up: Option<Monotonic>,
}

/// The state of a lock, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockState {
    /// In the order in which they were granted.
    pub(super) grants: Vec<Grant>,
    /// Whether those who hold are readers.
    pub(super) reading: bool,
    pub(super) queue: Vec<Waiter>,
    /// Request ids that are over, and when each is forgotten at the earliest. Shared by states that differ elsewhere.
    pub(super) over: Arc<BTreeMap<String, Monotonic>>,
    /// When the lock is available again after a loss at the earliest, if it is not.
    pub(super) unavailable: Option<Monotonic>,
    /// The least fence that the last grant can have had. Later ones are greater.
    floor: u64,
}

/// When something happens to a lock at the earliest.
#[derive(Clone, Copy)]
pub(super) struct Since {
    pub(super) at: Monotonic,
    pub(super) clock: ClockBound,
}

impl Since {
    fn end(self, length: Duration) -> Monotonic {
        self.clock.earliest_end(self.at, length)
    }
}

impl LockState {
    pub(super) fn is_free_for(&self, reading: bool) -> bool {
        self.unavailable.is_none() && (self.grants.is_empty() || (self.reading && reading))
    }

    /// The place of the grant that a request has.
    pub(super) fn holding(&self, request: &str) -> Option<usize> {
        self.grants.iter().position(|grant| grant.requests.iter().any(|sharing| sharing == request))
    }

    /// The place of a request in the queue.
    pub(super) fn waiting(&self, request: &str) -> Option<usize> {
        self.queue.iter().position(|waiter| waiter.request == request)
    }

    /// The place of the grant that is known to have this fence.
    pub(super) fn under(&self, fence: u64) -> Option<usize> {
        self.grants.iter().position(|grant| grant.fence.is(fence))
    }

    /// The place of the grant that a session may share: of several, the one with the first request id.
    pub(super) fn grant_of(&self, session: u64) -> Option<usize> {
        let own = self.grants.iter().enumerate().filter(|(_, grant)| grant.session == session);
        own.min_by_key(|(_, grant)| grant.requests.iter().min()).map(|(place, _)| place)
    }

    /// The waiter that a request makes.
    pub(super) fn waiter(acquire: &Acquire, since: Since) -> Waiter {
        Waiter {
            request: acquire.request.clone(),
            session: acquire.session,
            reading: acquire.reading,
            lease: acquire.lease,
            delay: acquire.delay,
            since: since.at,
            gives_up: acquire.max_wait.map(|max_wait| since.end(max_wait)),
        }
    }

    /// Grants the lock to somebody who is not in the queue, or not any more. Its fence is any that is possible.
    pub(super) fn grant(&mut self, waiter: Waiter, since: Since) {
        self.floor = self.floor.saturating_add(1);
        self.reading = waiter.reading;
        self.grants.push(Grant {
            fence: FenceRange::from(self.floor),
            requests: vec![waiter.request],
            session: waiter.session,
            lease: waiter.lease.map(|length| Lease { length, ends: since.end(length) }),
            delay: waiter.delay,
        });
    }

    /// Grants what has become free; comes last in every step.
    pub(super) fn finish(&mut self, since: Since) {
        while let Some(first) = self.queue.first()
            && self.is_free_for(first.reading)
        {
            let first = self.queue.remove(0);
            let since = Since { at: since.at.max(first.since), ..since };
            self.grant(first, since);
        }
    }

    /// Remembers that a request id is over.
    pub(super) fn remember(&mut self, request: String, since: Since) {
        Arc::make_mut(&mut self.over).insert(request, since.end(MEMORY));
    }

    /// Ends a grant against the will of those who share it. An operator's loss makes nothing unavailable.
    pub(super) fn lose(&mut self, place: usize, forced: bool, since: Since) {
        if place >= self.grants.len() {
            return;
        }
        let grant = self.grants.remove(place);
        if !forced && !grant.delay.is_zero() {
            self.unavailable = self.unavailable.max(Some(since.end(grant.delay)));
        }
        for request in grant.requests {
            self.remember(request, since);
        }
    }

    /// Ends a wait without a grant.
    pub(super) fn give_up(&mut self, place: usize, since: Since) {
        if place < self.queue.len() {
            let waiter = self.queue.remove(place);
            self.remember(waiter.request, since);
        }
    }

    /// Takes one request out of a grant, which ends with the last.
    pub(super) fn release(&mut self, place: usize, request: &str, since: Since) {
        let Some(grant) = self.grants.get_mut(place) else { return };
        grant.requests.retain(|sharing| sharing != request);
        if grant.requests.is_empty() {
            self.grants.remove(place);
        }
        self.remember(request.to_owned(), since);
    }

    /// Learns the fence of a grant, and what that says of the others; tells whether that is possible.
    #[must_use]
    pub(super) fn learn(&mut self, place: usize, fence: u64) -> bool {
        let (mut least, mut possible) = (fence, true);
        for (at, grant) in self.grants.iter_mut().enumerate() {
            let range = match at.cmp(&place) {
                std::cmp::Ordering::Less => grant.fence.within(0, fence.saturating_sub(1)),
                std::cmp::Ordering::Equal => grant.fence.within(fence, fence),
                std::cmp::Ordering::Greater => {
                    least = least.saturating_add(1);
                    grant.fence.within(least, u64::MAX)
                }
            };
            match range {
                Some(range) => grant.fence = range,
                None => possible = false,
            }
            least = least.max(if at > place { grant.fence.least() } else { fence });
        }
        self.floor = self.floor.max(least);
        possible
    }

    /// Learns the fence of the last grant ever made; tells whether that is possible.
    #[must_use]
    pub(super) fn learn_last(&mut self, fence: u64) -> bool {
        let possible = self.floor <= fence;
        self.floor = self.floor.max(fence);
        possible
    }
}
