//! Leader leases: how a leader knows, without asking, that nobody else can lead.
//!
//! With each heartbeat round a follower **promises** not to help elect anybody else for [`Options::lease`] from the
//! moment it receives the heartbeat. A round that a majority has acknowledged therefore excludes another leader for
//! that long from the moment it was sent, which is earlier. The leader counts on nine tenths of it, so clocks may
//! differ in speed by a tenth.
//!
//! The promise holds whatever the follower comes to believe: also when it sees the leader's connection break. It
//! costs a failover at most the lease, which is a fraction of an election timeout. A follower that restarts has
//! forgotten what it promised and behaves as if it had just promised.
//!
//! A leader that hands leadership over gives its lease up for the rest of its term, because the message that calls
//! the election may be late. The same holds, for one round, when the membership changes, because a majority of the
//! old members need not be one of the new.
//!
//! [`Options::lease`]: super::Options::lease

use std::collections::VecDeque;
use std::time::Duration;

use synod_types::{MemberId, Monotonic};

/// What a leader has been granted.
#[derive(Debug, Default)]
pub(super) struct Lease {
    until: Option<Monotonic>,
    last_round: u64,
    /// Rounds that no majority has acknowledged yet: (round, when it was sent).
    open: VecDeque<(u64, Monotonic)>,
    /// No lease in this term any more.
    given_up: bool,
}

impl Lease {
    /// Begins a round and returns its number.
    pub(super) fn begin_round(&mut self, now: Monotonic) -> u64 {
        self.last_round += 1;
        self.open.push_back((self.last_round, now));
        self.last_round
    }

    /// A majority has acknowledged a round, and with it every earlier one.
    pub(super) fn confirm(&mut self, round: u64, lease: Duration) {
        while let Some((open, sent)) = self.open.front().copied().filter(|(open, _)| *open <= round) {
            self.open.pop_front();
            if open == round && !self.given_up {
                self.until = self.until.max(Some(sent + lease * 9 / 10));
            }
        }
    }

    /// Whether nobody else can lead at `now`.
    pub(super) fn is_valid(&self, now: Monotonic) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when nobody else can lead, if that was granted.
    pub(super) const fn until(&self) -> Option<Monotonic> {
        self.until
    }

    /// What was granted no longer counts, and neither do rounds under way.
    pub(super) fn revoke(&mut self) {
        self.until = None;
        self.open.clear();
    }

    /// There is no lease any more in this term.
    pub(super) fn give_up(&mut self) {
        self.revoke();
        self.given_up = true;
    }

    /// Another term begins. Round numbers go on, so that a late answer is never taken for a new one.
    pub(super) fn reset(&mut self) {
        self.revoke();
        self.given_up = false;
    }
}

/// What a follower has promised.
#[derive(Debug)]
pub(super) struct Promise {
    /// To whom; nobody in particular after a restart.
    to: Option<MemberId>,
    until: Monotonic,
}

impl Promise {
    /// Nothing is promised.
    pub(super) const fn none() -> Self {
        Self { to: None, until: Monotonic::from_nanos(0) }
    }

    /// A promise made before a restart, to a leader unknown.
    pub(super) const fn forgotten(until: Monotonic) -> Self {
        Self { to: None, until }
    }

    /// Promises a leader not to help anybody else.
    pub(super) fn renew(&mut self, to: MemberId, until: Monotonic) {
        *self = Self { to: Some(to), until };
    }

    /// Whether anybody was promised anything that still holds.
    pub(super) fn is_binding(&self, now: Monotonic) -> bool {
        now < self.until
    }

    /// Until when `candidate` must not be helped; none if it may be.
    pub(super) fn bars(&self, candidate: MemberId, now: Monotonic) -> Option<Monotonic> {
        (now < self.until && self.to != Some(candidate)).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(100);

    fn at_ms(ms: u64) -> Monotonic {
        Monotonic::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_lease_counts_from_the_sending_of_the_round() {
        let mut lease = Lease::default();
        let round = lease.begin_round(at_ms(1_000));
        assert!(!lease.is_valid(at_ms(1_000)), "nobody has answered yet");
        lease.confirm(round, LEASE);
        assert!(lease.is_valid(at_ms(1_089)));
        assert!(!lease.is_valid(at_ms(1_090)), "a tenth is left for clocks that run fast");
    }

    #[test]
    fn a_late_answer_does_not_shorten_or_prolong() {
        let mut lease = Lease::default();
        let first = lease.begin_round(at_ms(0));
        let second = lease.begin_round(at_ms(50));
        lease.confirm(second, LEASE);
        lease.confirm(first, LEASE);
        assert!(lease.is_valid(at_ms(139)) && !lease.is_valid(at_ms(140)));
    }

    #[test]
    fn what_was_revoked_stays_revoked() {
        let mut lease = Lease::default();
        let round = lease.begin_round(at_ms(0));
        lease.revoke();
        lease.confirm(round, LEASE);
        assert!(!lease.is_valid(at_ms(1)), "a round from before the revocation does not count");
        lease.give_up();
        let round = lease.begin_round(at_ms(2));
        lease.confirm(round, LEASE);
        assert!(!lease.is_valid(at_ms(3)));
    }

    #[test]
    fn a_promise_binds_against_others_only() {
        let mut promise = Promise::none();
        promise.renew(MemberId(1), at_ms(100));
        assert_eq!(promise.bars(MemberId(1), at_ms(50)), None);
        assert_eq!(promise.bars(MemberId(2), at_ms(50)), Some(at_ms(100)));
        assert_eq!(promise.bars(MemberId(2), at_ms(100)), None);
        assert_eq!(Promise::forgotten(at_ms(100)).bars(MemberId(1), at_ms(50)), Some(at_ms(100)));
    }
}
