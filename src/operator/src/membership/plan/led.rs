//! A partition with a leader: its members are brought in line with the desired nodes, one at a time.

use super::{Action, MAKE_ROOM, Step, act, all_failed, all_stalled, failed, names, stalled, wait, waiting};
use crate::membership::observation::{Member, Node, Observation, Replica, Running};
use crate::membership::quorum::{
    CAUGHT_UP_ENTRIES, has_caught_up, is_known_to_be_out, lag, prove_majority, voters_with, voters_without,
    was_taken_out,
};
use crate::message::listed;

/// A partition with a leader.
pub(super) struct Led<'a> {
    pub(super) observation: &'a Observation,
    pub(super) node: &'a Node,
    pub(super) leader: &'a Running,
}

impl Led<'_> {
    fn member_on(&self, node: &Node) -> Option<&Member> {
        self.leader.members.iter().find(|member| member.node == node.name)
    }

    fn is_desired(&self, member: &Member) -> bool {
        self.observation.node(&member.node).is_some_and(|node| node.desired)
    }

    /// A desired node that lost its data, or is new, needs an id.
    pub(super) fn prepare_blank(&self) -> Option<Step> {
        let blank =
            self.observation.nodes.iter().filter(|node| node.desired && node.replica == Replica::Blank);
        let nodes = names(blank);
        let reason = format!("{} is blank and needs an id", listed(&nodes));
        (!nodes.is_empty()).then(|| act(Action::Prepare { nodes }, reason)).flatten()
    }

    /// A member whose node answers as somebody else will never come back.
    pub(super) fn remove_replaced(&self) -> Option<Step> {
        let replaced = |member: &&Member| {
            let node = self.observation.node(&member.node);
            node.is_some_and(|node| match &node.replica {
                Replica::Blank => true,
                Replica::Waiting { member: id, .. } => *id != member.id,
                Replica::Running(running) => running.member != member.id,
                Replica::Unreachable | Replica::Failed { .. } | Replica::Stalled { .. } => false,
            })
        };
        let gone = self.leader.members.iter().find(replaced)?;
        let reason = format!("member {} is gone: {} has lost its data", gone.id, gone.node);
        self.remove(gone, reason)
            .unwrap_or_else(|why| wait(format!("{} has lost its data, and stays a member: {why}", gone.node)))
    }

    /// Plans to take a member out, or tells why that must not be.
    fn remove(&self, member: &Member, reason: String) -> Result<Option<Step>, String> {
        if member.votes {
            prove_majority(self.observation, self.leader, voters_without(self.leader, member.id))?;
        }
        let leader = self.node.name.clone();
        Ok(act(Action::Remove { leader, member: member.id }, reason))
    }

    /// A learner on a node that is to have no member goes.
    pub(super) fn remove_undesired_learner(&self) -> Option<Step> {
        let learner = self.leader.members.iter().find(|member| !member.votes && !self.is_desired(member))?;
        self.remove(learner, format!("{} is to have no member", learner.node)).ok().flatten()
    }

    /// A learner becomes a voter once it has caught up; until then nothing else is changed.
    pub(super) fn finish_learner(&self) -> Option<Step> {
        let has_failed = |member: &Member| {
            let node = self.observation.node(&member.node);
            node.is_some_and(|node| matches!(node.replica, Replica::Failed { .. }))
        };
        let learner = self.leader.members.iter().find(|member| !member.votes && !has_failed(member))?;
        if !has_caught_up(self.observation, self.leader, learner) {
            return wait(self.why_behind(learner));
        }
        let voters = voters_with(self.leader, learner.id);
        if let Err(why) = prove_majority(self.observation, self.leader, voters) {
            return wait(format!("{} cannot be made a voter yet: {why}", learner.node));
        }
        let (leader, member) = (self.node.name.clone(), learner.id);
        act(Action::Promote { leader, member }, format!("{} has caught up", learner.node))
    }

    fn why_behind(&self, member: &Member) -> String {
        let name = &member.node;
        match self.observation.node(name).map(|node| &node.replica) {
            None | Some(Replica::Unreachable) => format!("{name} does not answer"),
            Some(Replica::Failed { problem, .. }) => failed(name, problem),
            Some(Replica::Stalled { problem, .. }) => stalled(name, problem),
            Some(Replica::Blank | Replica::Waiting { .. }) => format!("{name} is to get its first snapshot"),
            Some(Replica::Running(_)) if lag(self.leader, member) > CAUGHT_UP_ENTRIES => {
                format!("{name} catches up: it is {} entries behind", lag(self.leader, member))
            }
            Some(Replica::Running(_)) => format!("the leader has not heard of {name} lately"),
        }
    }

    /// A desired node whose replica waits becomes a learner.
    pub(super) fn add_learner(&self) -> Option<Step> {
        let newcomer =
            |node: &&Node| node.desired && self.member_on(node).is_none() && waiting(node).is_some();
        let node = self.observation.nodes.iter().find(newcomer)?;
        let learner = node.founder(waiting(node)?);
        let leader = self.node.name.clone();
        act(Action::AddLearner { leader, learner }, format!("{} is to have a member", node.name))
    }

    /// A voter on a node that is to have none goes: first those that are missing anyway, the leader last.
    pub(super) fn remove_undesired_voter(&self) -> Option<Step> {
        let mut undesired: Vec<_> =
            self.leader.members.iter().filter(|member| member.votes && !self.is_desired(member)).collect();
        let is_leader = |member: &Member| member.id == self.leader.member;
        let is_there = |member: &Member| has_caught_up(self.observation, self.leader, member);
        undesired.sort_by_key(|member| (is_leader(member), is_there(member)));
        let mut refusal = None;
        for member in undesired {
            if is_leader(member) {
                return self.hand_over(member).or(refusal);
            }
            match self.remove(member, format!("{} is to have no member", member.node)) {
                Ok(step) => return step,
                Err(why) => refusal = wait(format!("{} cannot be taken out yet: {why}", member.node)),
            }
        }
        refusal
    }

    /// The leader goes last, and hands over first.
    fn hand_over(&self, leader: &Member) -> Option<Step> {
        let heirs = self.leader.members.iter().filter(|member| {
            let fits = member.votes && member.id != leader.id && self.is_desired(member);
            fits && has_caught_up(self.observation, self.leader, member)
        });
        let Some(heir) = heirs.max_by_key(|member| member.matched) else {
            return wait(format!("{} leads and is to go, and nobody can take over yet", leader.node));
        };
        let action = Action::TransferLeadership { leader: leader.node.clone(), to: heir.id };
        act(action, format!("{} leads and is to have no member", leader.node))
    }

    /// A member that stopped for good is replaced once somebody has removed its data. One that stalled needs room.
    pub(super) fn tell_failed(&self) -> Option<Step> {
        let desired = || self.observation.nodes.iter().filter(|node| node.desired);
        if let Some(problem) = all_failed(desired()) {
            let next = "let it start without the data of this partition, and it comes back as a new member";
            return Some(Step::Stuck { problem, next: next.to_owned() });
        }
        all_stalled(desired()).map(|problem| Step::Stuck { problem, next: MAKE_ROOM.to_owned() })
    }

    /// A replica that holds data and is no member was taken out once, and cannot come back as who it was: an id is given
    /// once, and whoever has data was a member before. (A member that the leader has not heard of yet, because a later one
    /// has added it, knows a later term.)
    pub(super) fn discard_stranger(&self) -> Option<Step> {
        let (node, running) = self.observation.running().find(|(node, running)| {
            node.desired
                && was_taken_out(self.leader, running.member, running.term)
                && is_known_to_be_out(self.observation, self.leader, |member| member.id == running.member)
        })?;
        let action = Action::Discard {
            leader: self.node.name.clone(),
            node: node.name.clone(),
            member: running.member,
            term: running.term,
        };
        act(action, format!("{} holds the data of member {}, which was taken out", node.name, running.member))
    }

    /// All is as it should be, but for who is not there.
    pub(super) fn await_missing(&self) -> Option<Step> {
        let without_member =
            self.observation.nodes.iter().find(|node| node.desired && self.member_on(node).is_none());
        if let Some(node) = without_member {
            return wait(format!("{} is to have a member and does not answer", node.name));
        }
        let behind =
            self.leader.members.iter().find(|member| !has_caught_up(self.observation, self.leader, member));
        behind.and_then(|member| wait(self.why_behind(member)))
    }
}
