//! Whether a node can be restarted, which it is out of service for a while.

use super::Action;
use crate::membership::observation::{Member, Observation};
use crate::membership::quorum::{has_caught_up, majority_of};

/// What has to happen before a node is restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: the others go on without it.
    Now,
    /// It leads, and hands over first.
    HandOverFirst(Action),
    /// The others could not go on without it. Why, for people.
    NotYet(String),
}

/// Plans the restart of a node, as far as one partition is concerned. `prefers` says whom to hand over to, if there is a
/// choice.
///
/// Without the node, those voters that have caught up must still be a majority of all of them. A voter that is the only one
/// cannot be spared, and nobody is served by never restarting it, so it may go.
pub fn plan_restart(observation: &Observation, node: &str, prefers: impl Fn(&str) -> bool) -> Restart {
    let Some((leader_node, leader)) = observation.leader() else {
        return Restart::NotYet("nobody leads".to_owned());
    };
    let voters: Vec<_> = leader.members.iter().filter(|member| member.votes).collect();
    let is_voter = voters.iter().any(|voter| voter.node == node);
    if !is_voter || voters.len() == 1 {
        return Restart::Now;
    }
    let others = voters.iter().filter(|voter| voter.node != node);
    let ready: Vec<&Member> =
        others.copied().filter(|voter| has_caught_up(observation, leader, voter)).collect();
    let needed = majority_of(voters.len());
    if ready.len() < needed {
        return Restart::NotYet(format!(
            "without {node}, only {} of {} voters would be there and caught up, and {needed} are needed",
            ready.len(),
            voters.len()
        ));
    }
    if leader_node.name != node {
        return Restart::Now;
    }
    match ready.into_iter().max_by_key(|voter| (prefers(&voter.node), voter.matched)) {
        Some(heir) => {
            Restart::HandOverFirst(Action::TransferLeadership { leader: node.to_owned(), to: heir.id })
        }
        None => Restart::NotYet(format!("{node} leads, and nobody can take over")),
    }
}

#[cfg(test)]
mod tests {
    use synod_types::{LogIndex, MemberId, Term};

    use super::*;
    use crate::membership::CAUGHT_UP_ENTRIES;
    use crate::membership::observation::{Node, Replica, Role, Running};

    /// Voters with these lags, of which the first leads; without a lag it does not answer.
    fn observation(lags: &[Option<u64>]) -> Observation {
        let commit = 10_000;
        let matched = |lag: Option<u64>| LogIndex(commit - lag.unwrap_or(commit));
        let members: Vec<_> = (0_u64..)
            .zip(lags)
            .map(|(number, lag)| Member {
                id: MemberId(number + 1),
                node: format!("node-{number}"),
                client_address: String::new(),
                votes: true,
                matched: matched(*lag),
                active: lag.is_some(),
            })
            .collect();
        let node = |member: &Member, lag: Option<u64>| Node {
            name: member.node.clone(),
            peer_address: String::new(),
            client_address: String::new(),
            desired: true,
            replica: lag.map_or(Replica::Unreachable, |_| {
                Replica::Running(Running {
                    member: member.id,
                    role: if member.id == MemberId(1) { Role::Leader } else { Role::Follower },
                    term: Term(1),
                    commit: LogIndex(commit),
                    members: members.clone(),
                    ..Running::default()
                })
            }),
        };
        Observation { nodes: members.iter().zip(lags).map(|(member, lag)| node(member, *lag)).collect() }
    }

    fn restart(lags: &[Option<u64>], node: &str) -> Restart {
        plan_restart(&observation(lags), node, |name| name == "node-2")
    }

    #[test]
    fn a_follower_goes_when_the_others_are_a_majority() {
        let far = Some(CAUGHT_UP_ENTRIES + 1);
        assert_eq!(restart(&[Some(0), Some(0), Some(0)], "node-1"), Restart::Now);
        assert_eq!(restart(&[Some(0), far, Some(0)], "node-1"), Restart::Now, "who is behind first");
        for lags in [[Some(0), Some(0), None], [Some(0), Some(0), far]] {
            let Restart::NotYet(why) = restart(&lags, "node-1") else { panic!("{lags:?}") };
            assert!(why.contains("only 1 of 3"), "{why}");
        }
        assert_eq!(restart(&[Some(0), Some(0), None, None, Some(0)], "node-0"), {
            Restart::NotYet(
                "without node-0, only 2 of 5 voters would be there and caught up, and 3 are needed".into(),
            )
        });
    }

    #[test]
    fn the_leader_hands_over_first_to_whom_is_preferred() {
        let to = |id| {
            let action = Action::TransferLeadership { leader: "node-0".into(), to: MemberId(id) };
            Restart::HandOverFirst(action)
        };
        assert_eq!(restart(&[Some(0), Some(0), Some(5)], "node-0"), to(3));
        assert_eq!(plan_restart(&observation(&[Some(0), Some(0), Some(5)]), "node-0", |_| false), to(2));
    }

    #[test]
    fn the_only_voter_goes_and_a_stranger_does() {
        assert_eq!(restart(&[Some(0)], "node-0"), Restart::Now);
        assert_eq!(restart(&[Some(0), Some(0), None], "node-9"), Restart::Now);
        assert_eq!(restart(&[None, Some(0), Some(0)], "node-1"), Restart::NotYet("nobody leads".into()));
    }
}
