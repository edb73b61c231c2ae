//! When to campaign: election timeouts without random numbers, and campaigns after a leader was seen to crash or at a
//! start.

use std::collections::BTreeMap;

use synod_types::{MemberId, Monotonic};

use super::{Message, Raft};

/// What waits for a promise to end.
#[derive(Debug, Default)]
pub(super) struct Election {
    /// The next campaign after a suspicion, or after a start.
    campaign_at: Option<Monotonic>,
    /// Requests for votes that a promise bars, the newest of each sender. They are late messages, no more.
    deferred: BTreeMap<MemberId, (Monotonic, Message)>,
}

impl Election {
    pub(super) fn defer(&mut self, until: Monotonic, message: Message) {
        self.deferred.insert(message.from, (until, message));
    }

    /// A leader is known: there is nothing to campaign for.
    pub(super) fn clear(&mut self) {
        self.campaign_at = None;
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        self.deferred.values().map(|(until, _)| *until).chain(self.campaign_at).min()
    }

    fn take_deferred(&mut self, now: Monotonic) -> Vec<Message> {
        let due: Vec<_> =
            self.deferred.iter().filter(|(_, (until, _))| *until <= now).map(|(from, _)| *from).collect();
        due.iter().filter_map(|from| self.deferred.remove(from)).map(|(_, message)| message).collect()
    }
}

impl Raft {
    /// A pseudo-random number of ticks between one and two election timeouts that depends on member and term alone:
    /// members rarely agree, and the next term brings other numbers.
    pub(super) fn election_timeout_ticks(&self) -> usize {
        let spread = self.options.election_ticks.max(1) as u64;
        let seed = self.id().get().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.term().get();
        let drawn = split_mix(seed).checked_rem(spread).unwrap_or(0);
        self.options.election_ticks + usize::try_from(drawn).unwrap_or(0)
    }

    /// Plans to campaign once the promise to the leader that seems to have crashed has ended, each voter in its turn.
    /// At a start nobody (member 0) has crashed.
    pub(super) fn plan_campaign(&mut self, crashed: MemberId) {
        let voters = self.membership().voters;
        let Some(turn) =
            voters.iter().filter(|voter| **voter != crashed).position(|voter| *voter == self.id())
        else {
            return;
        };
        let wait = self.options.campaign_stagger * u32::try_from(turn).unwrap_or(u32::MAX);
        let free = self.promise.bars(self.id(), self.now).unwrap_or(self.now);
        self.election.campaign_at = Some(free + wait);
    }

    /// Campaigns if it is time. Without success by the time that everybody had a turn, it is tried again.
    pub(super) fn campaign_if_due(&mut self) {
        if self.election.campaign_at.is_none_or(|at| self.now < at) {
            return;
        }
        // The crate lets anybody campaign who is told to, and panics when one wins who does not vote.
        if !self.node.raft.promotable() {
            self.election.campaign_at = None;
            return;
        }
        if let Some(until) = self.promise.bars(self.id(), self.now) {
            self.election.campaign_at = Some(until);
            return;
        }
        let voters = self.membership().voters.len().max(2);
        if self.held.is_installing() {
            self.election.campaign_at = Some(self.now + self.options.tick);
            return;
        }
        let again = self.options.campaign_stagger * u32::try_from(voters).unwrap_or(u32::MAX);
        self.election.campaign_at = Some(self.now + again);
        // It refuses to campaign while a membership change is committed and not applied; the next turn comes.
        let _ = self.node.campaign();
        self.after_call();
    }

    /// Delivers the requests for votes whose time has come.
    pub(super) fn deliver_deferred(&mut self) {
        for message in self.election.take_deferred(self.now) {
            // It was checked when it came.
            let _ = self.deliver(message);
        }
    }
}

/// One step of SplitMix64.
const fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
