//! The operator: replaces members that have lost their data, and moves the partition to the nodes where it should be. It
//! takes one step at a time, and asks the leader for each.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_replica::Admin;
use synod_types::{Error, MemberId, Monotonic};

use super::invariants::Check;
use super::node::{Mail, Stage};
use super::world::{Event, GROUP, World, member};

/// How long a request may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the operator wants, and what it waits for.
#[derive(Debug)]
pub(super) struct Operator {
    /// The nodes that are to have a member.
    pub(super) desired: BTreeSet<usize>,
    asked: Option<(u64, Monotonic)>,
    requests: u64,
    /// How many changes of the membership were done.
    pub(super) changes: u64,
}

impl Operator {
    pub(super) const fn new(desired: BTreeSet<usize>) -> Self {
        Self { desired, asked: None, requests: 0, changes: 0 }
    }

    pub(super) fn answered(&mut self, request: u64, answer: &Result<u64, Error>) {
        if self.asked.is_some_and(|(asked, _)| asked == request) {
            self.asked = None;
            self.changes += u64::from(answer.is_ok());
        }
    }
}

impl World {
    pub(super) fn operate(&mut self) -> Check {
        let at = self.now + self.dice.ms(100, 400);
        self.schedule.at(at, Event::Operator);
        self.take_care();
        self.prepare_blanks();
        let is_late = |(_, asked_at): (u64, Monotonic)| self.now.since(asked_at) > PATIENCE;
        if self.operator.asked.is_some_and(|asked| !is_late(asked)) {
            return Ok(());
        }
        self.operator.asked = None;
        self.empty_strangers();
        if let Some(leader) = self.leader()
            && let Some(step) = self.next_step(leader)
        {
            self.ask(leader, step);
        }
        Ok(())
    }

    /// Asks a node something in the operator's name.
    pub(super) fn ask(&mut self, leader: usize, step: Admin) {
        self.note(leader, format_args!("is asked by the operator: {step:?}"));
        self.operator.requests += 1;
        let request = self.operator.requests;
        self.operator.asked = Some((request, self.now));
        let (life, delay) = (self.nodes[leader].life, self.network.delay());
        let mail = Mail::Admin(request, step);
        self.schedule.at(self.now + delay, Event::Arrival { node: leader, life: Some(life), mail });
    }

    /// Nodes that are to have a member and have lost their identity get a new one.
    fn prepare_blanks(&mut self) {
        for node in self.operator.desired.clone() {
            if matches!(self.nodes[node].stage, Stage::Blank) {
                match self.nodes[node].home.prepare(GROUP, 0, &mut self.dice) {
                    Ok(identity) => {
                        self.note(node, format_args!("is prepared as member {}", identity.member));
                        self.nodes[node].stage = Stage::Waiting(identity);
                    }
                    Err(_) => self.nodes[node].was_refused = true,
                }
                self.cut_power_if_off(node);
            }
        }
    }

    /// A replica that holds data and is no member was taken out once: it comes back empty, as another member. Not before
    /// a majority knows that it was: those who do not could need it.
    fn empty_strangers(&mut self) {
        if !self.referee.is_membership_durable() {
            return;
        }
        let membership = self.referee.membership().all();
        for node in self.operator.desired.clone() {
            let is_stranger = self.nodes[node].process().is_some_and(|process| {
                let seen_removed =
                    process.replica.machine().applied().log_index <= self.referee.ledger.last();
                !membership.contains(&process.member) && seen_removed
            });
            if is_stranger {
                self.wipe(node);
            }
        }
    }

    /// Whether the operator waits for an answer.
    pub(super) fn is_changing_members(&self) -> bool {
        self.operator.asked.is_some()
    }

    /// Whether these voters can decide by those whose data is whole and who are at work.
    fn can_decide(&self, voters: &[MemberId]) -> bool {
        let is_well = |voter: &&MemberId| {
            self.nodes.iter().any(|node| {
                !node.is_damaged && node.working().is_some_and(|process| process.member == **voter)
            })
        };
        voters.iter().filter(is_well).count() > voters.len() / 2
    }

    /// The node that leads in the latest term, as far as anybody can see.
    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &usize| {
            let standing = self.nodes[*node].working()?.replica.standing();
            (standing.role == synod_protocol::Role::Leader).then_some((standing.term, *node))
        };
        (0..self.nodes.len()).filter_map(|node| leads(&node)).max().map(|(_, node)| node)
    }

    /// What is to be done next, as the members of the leader's membership stand.
    fn next_step(&self, leader: usize) -> Option<Admin> {
        let process = self.nodes[leader].working()?;
        let members = process.replica.machine().members();
        let (membership, desired) = (members.membership(), &self.operator.desired);
        if !membership.voters_outgoing.is_empty() {
            return None;
        }
        let placed: Vec<_> = members
            .iter()
            .filter_map(|member| Some((MemberId(member.id), super::world::node_at(&member.node)?)))
            .collect();
        let is_replaced = |(member, node): &&(MemberId, usize)| match &self.nodes[*node].stage {
            Stage::Blank => true,
            Stage::Waiting(identity) => identity.member != *member,
            Stage::Running(process) => process.member != *member,
            Stage::Down | Stage::Failed => false,
        };
        // Whoever waits with the id of a member has not got its first snapshot yet.
        if let Some((gone, _)) = placed.iter().find(is_replaced) {
            return Some(Admin::Remove(*gone));
        }
        if let Some(learner) = membership.learners.first() {
            let node = placed.iter().find(|(member, _)| member == learner)?.1;
            if !desired.contains(&node) {
                return Some(Admin::Remove(*learner));
            }
            let voters: Vec<_> = membership.voters.iter().copied().chain([*learner]).collect();
            return self.can_decide(&voters).then_some(Admin::Promote(*learner));
        }
        let has_member = |node: &usize| placed.iter().any(|(_, at)| at == node);
        let newcomer = desired.iter().find_map(|node| match &self.nodes[*node].stage {
            Stage::Waiting(identity) if !has_member(node) => Some((*node, identity.member)),
            _ => None,
        });
        if let Some((node, id)) = newcomer {
            return Some(Admin::AddLearner(member(node, id.get())));
        }
        let (surplus, _) = *placed.iter().find(|(_, node)| !desired.contains(node))?;
        let others: Vec<_> = membership.voters.iter().copied().filter(|voter| *voter != surplus).collect();
        if placed.len() <= desired.len() || !self.can_decide(&others) {
            return None;
        }
        Some(if surplus == process.member { Admin::Transfer(None) } else { Admin::Remove(surplus) })
    }
}
