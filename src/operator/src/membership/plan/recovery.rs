//! A partition that has lost its majority for good, and somebody who says that it is to go on with what is left.

use synod_types::MemberId;

use super::{Action, Step};
use crate::membership::observation::{Node, Observation, Replica, Running};
use crate::membership::quorum::majority_of;
use crate::message::listed;

/// The replica that has the most of those that answer: the newest term decides, then the length of the log.
pub fn most_complete(observation: &Observation) -> Option<(&Node, &Running)> {
    let has = |(_, running): &(&Node, &Running)| (running.last_term, running.last, running.commit);
    observation.running().max_by_key(has)
}

/// Plans that a partition in which nobody leads goes on with one member alone. `is_empty` says of a node that does not
/// answer whether it is known to have no data.
///
/// Nobody who may still hold data is left out of account: a majority that still lives has to come back, or to be given up
/// by whoever removes its volumes. And nobody is chosen while another one has more.
pub fn plan_recovery(
    observation: &Observation,
    survivor: MemberId,
    is_empty: impl Fn(&Node) -> bool,
) -> Step {
    let Some((node, running)) = observation.running().find(|(_, running)| running.member == survivor) else {
        return Step::Stuck {
            problem: format!("member {survivor}, with which the partition is to go on, does not answer"),
            next: "name one that does, or bring it back".to_owned(),
        };
    };
    let may_hold_data = |other: &&Node| match other.replica {
        Replica::Unreachable => !is_empty(other),
        // It may be able to use what it has when it is started again.
        Replica::Failed { .. } | Replica::Stalled { .. } => true,
        Replica::Blank | Replica::Waiting { .. } | Replica::Running(_) => false,
    };
    let silent: Vec<_> =
        observation.nodes.iter().filter(may_hold_data).map(|other| other.name.as_str()).collect();
    if !silent.is_empty() {
        return Step::Stuck {
            problem: format!("{} may hold what was acknowledged, and does not serve", listed(&silent)),
            next:
                "bring it back; if its machine or volume is lost for good, delete its claim and its pod first"
                    .to_owned(),
        };
    }
    let voters = || running.members.iter().filter(|member| member.votes);
    let answers = |member: &&_| is_running(observation, member);
    let alive = voters().filter(answers).count();
    if alive >= majority_of(voters().count()) {
        return Step::Wait("a majority is there after all, and elects a leader".to_owned());
    }
    if let Some((other, most)) = most_complete(observation)
        && (most.last_term, most.last) > (running.last_term, running.last)
    {
        return Step::Stuck {
            problem: format!("member {survivor} has less than member {} on {}", most.member, other.name),
            next: format!("name member {} as the survivor", most.member),
        };
    }
    Step::Act {
        action: Action::Recover { node: node.name.clone(), member: survivor },
        reason: format!("member {survivor} on {} goes on alone, as the spec says", node.name),
    }
}

fn is_running(observation: &Observation, member: &crate::membership::Member) -> bool {
    observation.node(&member.node).is_some_and(|node| node.running_as(member.id).is_some())
}

#[cfg(test)]
mod tests {
    use synod_types::{LogIndex, Term};

    use super::*;
    use crate::membership::Member;

    /// Three voters, 1 to 3, on nodes a to c. A replica is `-` silent, `0` blank, or the last term and index of its log.
    fn observation(replicas: [&str; 3]) -> Observation {
        let names = ["a", "b", "c"];
        let members = (1..).zip(names).map(|(id, name)| Member {
            id: MemberId(id),
            node: name.to_owned(),
            client_address: String::new(),
            votes: true,
            matched: LogIndex(0),
            active: false,
        });
        let members: Vec<_> = members.collect();
        let replica = |id, text: &str| match text {
            "-" => Replica::Unreachable,
            "0" => Replica::Blank,
            log => {
                let (term, last) = log.split_once('/').unwrap();
                Replica::Running(Running {
                    member: MemberId(id),
                    last: LogIndex(last.parse().unwrap()),
                    last_term: Term(term.parse().unwrap()),
                    members: members.clone(),
                    ..Running::default()
                })
            }
        };
        let nodes = (1..).zip(names).zip(replicas).map(|((id, name), text)| Node {
            name: name.to_owned(),
            peer_address: String::new(),
            client_address: String::new(),
            desired: true,
            replica: replica(id, text),
        });
        Observation { nodes: nodes.collect() }
    }

    fn planned(replicas: [&str; 3], survivor: u64, empty: &str) -> String {
        match plan_recovery(&observation(replicas), MemberId(survivor), |node| node.name == empty) {
            Step::Act { action: Action::Recover { node, member }, .. } => format!("{node} as {member}"),
            Step::Wait(why) => why,
            Step::Stuck { problem, .. } => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_goes_on_only_with_who_has_the_most_and_when_nobody_else_can() {
        for (replicas, survivor, empty, expected) in [
            (["0", "0", "3/9"], 3, "", "c as 3"),
            (["-", "0", "3/9"], 3, "a", "c as 3"),
            (["-", "0", "3/9"], 3, "", "a may hold what was acknowledged"),
            (["-", "-", "3/9"], 3, "b", "a may hold what was acknowledged"),
            (["0", "0", "3/9"], 2, "", "member 2, with which the partition is to go on, does not answer"),
            (["0", "0", "3/9"], 9, "", "member 9, with which the partition is to go on, does not answer"),
            (["0", "2/9", "3/1"], 3, "", "a majority is there after all"),
        ] {
            let said = planned(replicas, survivor, empty);
            assert!(said.starts_with(expected), "{replicas:?}, {survivor}: {said}");
        }
    }

    #[test]
    fn a_newer_term_has_more_than_a_longer_log() {
        let mut five = observation(["0", "2/90", "3/1"]);
        // Two more voters are lost, so that the two that answer are no majority.
        for node in &mut five.nodes {
            let Replica::Running(running) = &mut node.replica else { continue };
            for id in [4, 5] {
                running.members.push(Member {
                    id: MemberId(id),
                    node: "a".into(),
                    ..running.members[0].clone()
                });
            }
        }
        let plan = |survivor| plan_recovery(&five, MemberId(survivor), |_| false);
        assert!(matches!(plan(2), Step::Stuck { next, .. } if next.contains("member 3")));
        assert!(matches!(plan(3), Step::Act { action: Action::Recover { .. }, .. }));
        assert_eq!(most_complete(&five).unwrap().1.member, MemberId(3));
    }
}
