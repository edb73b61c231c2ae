//! Which replica to try next, and when.

use std::time::Duration;

use synod_proto::types::v1::LeaderHint;
use synod_types::Term;

use crate::backoff::Backoff;
use crate::resolver::PartitionTopology;

/// How long to wait where nobody leads, at first and at most. An election takes about a fifth of a second, and what is
/// waited beyond it is added to the time without a leader.
const WAIT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// Whom a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whoever leads.
    Leader,
    /// Any replica, this one of the list first. A leader is taken last: it has enough to do.
    Replica(usize),
}

/// The way to a partition, learned from where it failed.
#[derive(Debug)]
pub(crate) struct Route {
    target: Target,
    /// Who leads, as a replica has said.
    hint: Option<String>,
    /// The term of the newest leader heard of.
    term: Term,
    /// Where it failed last.
    failed: Option<String>,
    turn: usize,
    backoff: Backoff,
}

impl Route {
    pub(crate) fn new(target: Target, seed: u64) -> Self {
        let turn = match target {
            Target::Leader => 0,
            Target::Replica(index) => index,
        };
        let backoff = Backoff::new(WAIT.0, WAIT.1, seed);
        Self { target, hint: None, term: Term(0), failed: None, turn, backoff }
    }

    /// Whom it is for.
    pub(crate) const fn target(&self) -> Target {
        self.target
    }

    /// Somebody else has found the leader there.
    pub(crate) fn told(&mut self, leader: Option<String>) {
        self.hint = leader;
    }

    /// The address to try now; none if no replica is known.
    pub(crate) fn next(&mut self, partition: &PartitionTopology) -> Option<String> {
        let failed = self.failed.as_deref();
        if self.target == Target::Leader {
            let told = self.hint.iter().chain(&partition.leader).find(|told| failed != Some(told.as_str()));
            if let Some(told) = told {
                return Some(told.clone());
            }
        }
        let is_spared = |endpoint: &&String| {
            self.target != Target::Leader && partition.leader.as_ref() == Some(*endpoint)
        };
        let mut candidates: Vec<_> =
            partition.endpoints.iter().filter(|endpoint| !is_spared(endpoint)).collect();
        if candidates.is_empty() {
            candidates = partition.endpoints.iter().collect();
        }
        let mut next = || {
            let chosen =
                candidates.get(self.turn.checked_rem(candidates.len())?).map(|chosen| (*chosen).clone());
            self.turn = self.turn.wrapping_add(1);
            chosen
        };
        let chosen = next();
        // Not where it failed just now, unless there is nowhere else; later that is worth another try.
        if self.backoff.failures() == 1 && chosen == self.failed { next() } else { chosen }
    }

    /// An address could not be used. Returns how long to wait before the next one.
    pub(crate) fn failed(&mut self, address: &str) -> Duration {
        self.failed = Some(address.to_owned());
        if self.hint.as_deref() == Some(address) {
            self.hint = None;
        }
        // The first failure costs nothing: most often only the leader is gone, and another replica knows the new one.
        if self.backoff.failures() == 0 {
            self.backoff.next();
            return Duration::ZERO;
        }
        self.backoff.next()
    }

    /// The replica at an address said that it does not lead, and perhaps who does. Returns how long to wait.
    pub(crate) fn redirected(&mut self, address: &str, leader: Option<LeaderHint>) -> Duration {
        let leader = leader.filter(|leader| !leader.client_address.is_empty());
        let is_news = leader.as_ref().is_some_and(|leader| {
            self.failed.as_ref() != Some(&leader.client_address) || Term(leader.term) > self.term
        });
        if let Some(leader) = leader {
            self.term = self.term.max(Term(leader.term));
            if is_news {
                self.failed = None;
                self.hint = Some(leader.client_address);
                return Duration::ZERO;
            }
        }
        // The leader that it names is the one that failed, or there is none: an election is under way.
        self.hint = None;
        self.failed.get_or_insert_with(|| address.to_owned());
        self.backoff.next()
    }

    /// A replica served a request.
    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.failed = None;
    }

    /// Whether a change of the topology names a leader that was not heard of yet: there is no reason to wait any more.
    pub(crate) fn is_found(&mut self, partition: &PartitionTopology) -> bool {
        // It is no news of the new leader that it did not lead before.
        let is_found = self.is_outdated(partition, "");
        if is_found {
            self.failed = None;
        }
        is_found
    }

    /// Whether a change of the topology says that the leader is not at this address any more.
    pub(crate) fn is_outdated(&mut self, partition: &PartitionTopology, address: &str) -> bool {
        let is_news = partition.term > self.term;
        self.term = self.term.max(partition.term);
        let is_elsewhere = partition.leader.as_deref().is_some_and(|leader| leader != address);
        let is_outdated = self.target == Target::Leader && is_news && is_elsewhere;
        if is_outdated {
            self.hint.clone_from(&partition.leader);
        }
        is_outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(leader: Option<&str>) -> PartitionTopology {
        PartitionTopology {
            endpoints: ["a", "b", "c"].map(String::from).to_vec(),
            leader: leader.map(String::from),
            term: Term(1),
        }
    }

    fn hint(address: &str, term: u64) -> Option<LeaderHint> {
        Some(LeaderHint { member_id: 1, term, client_address: address.into() })
    }

    fn next(route: &mut Route, leader: Option<&str>) -> String {
        route.next(&partition(leader)).unwrap()
    }

    #[test]
    fn the_known_leader_comes_first_and_a_hint_before_it() {
        let mut route = Route::new(Target::Leader, 1);
        assert_eq!(next(&mut route, Some("b")), "b");
        assert_eq!(route.redirected("b", hint("c", 2)), Duration::ZERO);
        assert_eq!(next(&mut route, Some("b")), "c");
    }

    #[test]
    fn after_a_failure_another_replica_is_asked_at_once() {
        let mut route = Route::new(Target::Leader, 1);
        assert_eq!(next(&mut route, Some("a")), "a");
        assert_eq!(route.failed("a"), Duration::ZERO);
        assert_eq!(next(&mut route, Some("a")), "b");
        assert!(route.redirected("b", hint("a", 0)) > Duration::ZERO, "it has not noticed yet");
        assert_eq!(next(&mut route, Some("a")), "c");
        route.redirected("c", hint("a", 0));
        assert_eq!(next(&mut route, Some("a")), "a", "it may be back");
    }

    #[test]
    fn a_hint_at_the_leader_that_just_failed_is_not_followed_at_once() {
        let mut route = Route::new(Target::Leader, 1);
        route.redirected("a", hint("b", 5));
        assert_eq!(route.failed("b"), Duration::ZERO);
        assert!(route.redirected("a", hint("b", 5)) > Duration::ZERO);
        assert_ne!(route.hint.as_deref(), Some("b"));
        assert_eq!(route.redirected("a", hint("b", 6)), Duration::ZERO, "elected again");
        assert_eq!(next(&mut route, None), "b");
    }

    #[test]
    fn waits_grow_while_nothing_works_and_start_again_after_a_success() {
        let mut route = Route::new(Target::Leader, 1);
        let waits: Vec<_> = (0..12).map(|_| route.failed("a")).collect();
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits[11] > waits[1] && waits[11] <= WAIT.1, "{waits:?}");
        route.succeeded();
        assert_eq!(route.failed("a"), Duration::ZERO);
    }

    #[test]
    fn a_newer_leader_of_the_topology_moves_a_link_and_an_older_one_does_not() {
        let mut route = Route::new(Target::Leader, 1);
        route.redirected("a", hint("b", 5));
        let mut topology = partition(Some("c"));
        assert!(!route.is_outdated(&topology, "b"), "term 1 is old news");
        topology.term = Term(6);
        assert!(route.is_outdated(&topology, "b"));
        assert_eq!(route.next(&topology).unwrap(), "c");
        assert!(!route.is_outdated(&topology, "c"));
    }

    #[test]
    fn a_leader_that_the_topology_names_is_tried_at_once_although_it_did_not_lead_before() {
        let mut route = Route::new(Target::Leader, 1);
        route.failed("a");
        route.redirected("b", hint("a", 1));
        let mut topology = partition(Some("a"));
        assert!(!route.is_found(&topology), "that is the one that failed");
        topology = PartitionTopology { leader: Some("b".into()), term: Term(2), ..topology };
        assert!(route.is_found(&topology));
        assert_eq!(route.next(&topology).unwrap(), "b");
        assert!(!route.is_found(&topology), "no news");
        let mut reader = Route::new(Target::Replica(0), 1);
        assert!(!reader.is_found(&topology), "a reader needs no leader");
    }

    #[test]
    fn readers_spread_over_the_followers() {
        let mut taken: Vec<_> = (0..2)
            .map(|index| Route::new(Target::Replica(index), 1).next(&partition(Some("b"))).unwrap())
            .collect();
        taken.sort();
        assert_eq!(taken, ["a", "c"]);
        let alone = PartitionTopology { endpoints: vec!["a".into()], ..partition(Some("a")) };
        assert_eq!(Route::new(Target::Replica(0), 1).next(&alone).unwrap(), "a");
        assert_eq!(Route::new(Target::Replica(0), 1).next(&PartitionTopology::default()), None);
    }
}
