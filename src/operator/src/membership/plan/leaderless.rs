//! A partition in which nobody leads: it is to be born, or elects, or has lost what it needs for that.

use synod_types::MemberId;

use super::{Action, MAKE_ROOM, Step, act, all_failed, all_stalled, names, wait, waiting};
use crate::membership::genesis::Genesis;
use crate::membership::observation::{Node, Observation, Replica};
use crate::membership::quorum::majority_of;
use crate::message::listed;

/// What is left when a majority has lost its data.
const RECOVER: &str = "bring the data directories of enough members back from where they were moved to or from a \
                       backup; if there is none, delete the group and create it again, empty";

/// A partition in which nobody leads.
pub(super) struct Leaderless<'a> {
    pub(super) observation: &'a Observation,
    pub(super) genesis: Option<&'a Genesis>,
}

/// Somebody who counts.
struct Voter<'a> {
    id: MemberId,
    name: &'a str,
    node: Option<&'a Node>,
}

impl Voter<'_> {
    fn runs(&self) -> bool {
        self.node.is_some_and(|node| node.running_as(self.id).is_some())
    }

    fn waits(&self) -> bool {
        self.node.and_then(waiting) == Some(self.id)
    }

    fn may_come_back(&self) -> bool {
        self.node.is_none_or(|node| may_come_back(&node.replica))
    }
}

fn may_come_back(replica: &Replica) -> bool {
    matches!(replica, Replica::Unreachable | Replica::Stalled { .. })
}

impl Leaderless<'_> {
    fn nodes(&self, fits: impl Fn(&Replica) -> bool) -> Vec<String> {
        names(self.observation.nodes.iter().filter(|node| fits(&node.replica)))
    }

    /// Whom there is to wait for, and what those need that can tell.
    fn waiting_for(&self, nodes: &[impl AsRef<str>]) -> String {
        let needs = all_stalled(self.observation.nodes.iter()).map(|all| format!("; {all}: {MAKE_ROOM}"));
        format!("waiting for {}{}", listed(nodes), needs.unwrap_or_default())
    }

    /// A partition that never began, begins: once every desired node answers, and none of them holds data.
    pub(super) fn begin(&self) -> Option<Step> {
        if self.genesis.is_some() || self.observation.running().next().is_some() {
            return None;
        }
        let failed = self.nodes(|replica| matches!(replica, Replica::Failed { .. }));
        if !failed.is_empty() {
            return Some(Step::Stuck {
                problem: format!(
                    "{} holds data that it cannot use, and nothing is known of how the partition began",
                    listed(&failed)
                ),
                next: "bring its data directory back from a backup, or delete it if there never was anything to keep"
                    .to_owned(),
            });
        }
        let unreachable = self.nodes(may_come_back);
        if !unreachable.is_empty() {
            return wait(format!("{} must answer before the partition can begin", listed(&unreachable)));
        }
        let desired = || self.observation.nodes.iter().filter(|node| node.desired);
        let blank = names(desired().filter(|node| node.replica == Replica::Blank));
        if !blank.is_empty() {
            return act(
                Action::Prepare { nodes: blank },
                "the partition is to begin, and its members need ids",
            );
        }
        let founders: Vec<_> = desired().filter_map(|node| Some(node.founder(waiting(node)?))).collect();
        (!founders.is_empty()).then_some(Step::Begin { founders })
    }

    /// The members of whom a majority is needed: as the replica that has seen the most says, or as the partition began.
    fn voters(&self) -> Vec<Voter<'_>> {
        let newest = self.observation.running().max_by_key(|(_, running)| (running.applied, running.term));
        let voter = |id, name| Voter { id, name, node: self.observation.node(name) };
        if let Some((_, newest)) = newest {
            let voters = newest.members.iter().filter(|member| member.votes);
            return voters.map(|member| voter(member.id, &member.node)).collect();
        }
        let founders = self.genesis.iter().flat_map(|genesis| &genesis.founders);
        founders.map(|founder| voter(founder.id, &founder.node)).collect()
    }

    /// First members that still wait are told how the partition begins, if a majority is there with them and none without
    /// them. (Once there is a majority it elects a leader, from whom they get a snapshot.)
    pub(super) fn bootstrap(&self) -> Option<Step> {
        let genesis = self.genesis?;
        let voters = self.voters();
        let untold = voters.iter().filter(|voter| voter.waits() && genesis.is_founder(voter.id));
        let nodes: Vec<_> = untold.map(|voter| voter.name.to_owned()).collect();
        let told = voters.iter().filter(|voter| voter.runs()).count();
        let needed = majority_of(voters.len());
        if nodes.is_empty() || told >= needed || told + nodes.len() < needed {
            return None;
        }
        act(Action::Bootstrap { nodes, genesis: genesis.clone() }, "the partition begins")
    }

    /// Nobody holds data, although the partition once began.
    pub(super) fn data_lost(&self) -> Option<Step> {
        if self.observation.running().next().is_some() {
            return None;
        }
        let unreachable = self.nodes(may_come_back);
        if !unreachable.is_empty() {
            return wait(format!("no member answers: {}", self.waiting_for(&unreachable)));
        }
        let problem = match all_failed(self.observation.nodes.iter()) {
            None => "every node answers, and none has the data of the partition".to_owned(),
            Some(failures) => format!("every node answers, and none can use what it has: {failures}"),
        };
        Some(Step::Stuck { problem, next: RECOVER.to_owned() })
    }

    /// Somebody holds data, and nobody leads: are there enough to elect a leader?
    pub(super) fn quorum(&self) -> Step {
        let voters = self.voters();
        let alive = voters.iter().filter(|voter| voter.runs()).count();
        let missing = voters.iter().filter(|voter| voter.may_come_back());
        let missing: Vec<_> = missing.map(|voter| voter.name).collect();
        let needed = majority_of(voters.len());
        if alive >= needed {
            return Step::Wait("the members elect a leader".to_owned());
        }
        let problem = format!("{alive} of {} voters are there, and {needed} are needed", voters.len());
        if alive + missing.len() >= needed {
            return Step::Wait(format!("no majority: {problem}; {}", self.waiting_for(&missing)));
        }
        let lost = "the majority is lost for good";
        let problem = match all_failed(self.observation.nodes.iter()) {
            None => format!("{lost}: {problem}, but the others have lost their data"),
            Some(failures) => format!("{lost}: {problem}, but {failures}"),
        };
        Step::Stuck { problem, next: RECOVER.to_owned() }
    }
}
