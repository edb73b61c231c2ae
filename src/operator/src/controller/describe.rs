//! A group as clients see it, from what its nodes say.

use synod_proto::controller::v1 as wire;
use synod_types::MemberId;

use crate::membership::{CAUGHT_UP_ENTRIES, Member, Node, Observation, Replica, Role, Running, Step};
use crate::message::{Problem, tell};

/// What is known of a group.
pub struct GroupView<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The protocol, as manifests spell it.
    pub protocol: String,
    /// How many replicas each partition is to have.
    pub replicas: u32,
    /// How many slots the keys are hashed to.
    pub slots: u32,
    /// Each partition, in the order of the ids.
    pub partitions: Vec<PartitionView<'a>>,
}

/// What is known of a partition.
pub struct PartitionView<'a> {
    /// What its nodes say.
    pub observation: &'a Observation,
    /// What is to be done next.
    pub step: &'a Step,
}

impl GroupView<'_> {
    /// The group as clients see it, without a revision.
    pub fn describe(&self) -> wire::Group {
        let partitions: Vec<_> = (0..).zip(&self.partitions).map(|(id, view)| view.describe(id)).collect();
        let problems = self.problems(&partitions);
        wire::Group {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            revision: 0,
            protocol: self.protocol.clone(),
            replicas: self.replicas,
            slots: self.slots,
            moved_slots: Vec::new(),
            partitions,
            ready: problems.is_empty(),
            message: tell("", &problems),
            ca_pem: String::new(),
        }
    }

    /// What is the matter with the partitions that are not ready, which have been described as these.
    pub(crate) fn problems(&self, partitions: &[wire::Partition]) -> Vec<Problem> {
        let views = self.partitions.iter().zip(partitions);
        views.filter_map(|(view, partition)| view.problem(partition, self.replicas)).collect()
    }
}

impl PartitionView<'_> {
    fn describe(&self, id: u32) -> wire::Partition {
        let nodes = &self.observation.nodes;
        let leader = self.observation.leader().map(|(_, leader)| leader);
        let newest = || self.observation.running().map(|(_, running)| running).max_by_key(|it| it.applied);
        let members = match leader.or_else(newest) {
            Some(knows) => knows.members.iter().map(|member| self.member(leader, member)).collect(),
            None => nodes.iter().filter(|node| node.desired).map(unborn).collect(),
        };
        wire::Partition {
            id,
            leader: leader.map_or(0, |leader| leader.member.get()),
            term: leader.map_or(0, |leader| leader.term.get()),
            members,
        }
    }

    fn member(&self, leader: Option<&Running>, member: &Member) -> wire::Member {
        let node = self.observation.node(&member.node);
        let running = node.and_then(|node| node.running_as(member.id));
        let lag = match (leader, running) {
            (Some(leader), Some(running)) => {
                let known = running.applied.max(member.matched);
                leader.commit.get().saturating_sub(known.get())
            }
            _ => 0,
        };
        let ailment = || node.and_then(|node| node.replica.ailment()).map(str::to_owned);
        let message = match node.map(|node| &node.replica) {
            None | Some(Replica::Unreachable) => "it does not answer".to_owned(),
            Some(Replica::Failed { problem, .. } | Replica::Stalled { problem, .. }) => problem.clone(),
            _ if running.is_none() => waits_for(node, member.id),
            _ if leader.is_some() && running.is_some_and(|running| running.role == Role::Candidate) => {
                "it looks for the leader".to_owned()
            }
            _ if lag > CAUGHT_UP_ENTRIES => ailment().unwrap_or_else(|| "it catches up".to_owned()),
            _ => String::new(),
        };
        let ready = message.is_empty();
        wire::Member {
            id: member.id.get(),
            node: member.node.clone(),
            role: running.map_or(wire::Role::Unspecified, |running| role(running.role)) as i32,
            endpoint: member.client_address.clone(),
            ready,
            lag,
            message: if ready { ailment().unwrap_or_default() } else { message },
        }
    }

    /// Why a partition is not ready.
    fn problem(&self, partition: &wire::Partition, replicas: u32) -> Option<Problem> {
        let told = |what: String, next| Problem { partition: partition.id, what, next };
        let planned = || match self.step {
            Step::Nothing => None,
            Step::Wait(why) => Some(told(why.clone(), None)),
            Step::Stuck { problem, next } => Some(told(problem.clone(), Some(next.clone()))),
            Step::Begin { .. } => Some(told("the partition begins".to_owned(), None)),
            Step::Act { reason, .. } => Some(told(reason.clone(), None)),
        };
        if partition.leader == 0 {
            return Some(planned().unwrap_or_else(|| told("nobody leads".to_owned(), None)));
        }
        let missing = partition.members.iter().find(|member| !member.ready);
        let observed = || missing.map(|member| told(format!("{}: {}", member.node, member.message), None));
        let ready = partition.members.iter().filter(|member| member.ready).count();
        let votes = |member: &&wire::Member| member.role() != wire::Role::Learner;
        let voters = partition.members.iter().filter(votes).count();
        let fits = ready == partition.members.len() && u32::try_from(voters) == Ok(replicas);
        let few = || told(format!("{ready} of {replicas} members are ready"), None);
        (!fits).then(|| planned().or_else(observed).unwrap_or_else(few))
    }
}

/// A place for a member of a partition that was never born, or whose data nobody has.
fn unborn(node: &Node) -> wire::Member {
    let (id, message) = match &node.replica {
        Replica::Unreachable => (0, "it does not answer".to_owned()),
        Replica::Blank => (0, "it is blank".to_owned()),
        Replica::Waiting { member, .. } => (member.get(), "it waits for the partition to begin".to_owned()),
        Replica::Running(running) => (running.member.get(), String::new()),
        Replica::Failed { member, problem } | Replica::Stalled { member, problem } => {
            (member.map_or(0, MemberId::get), problem.clone())
        }
    };
    wire::Member {
        id,
        node: node.name.clone(),
        endpoint: node.client_address.clone(),
        message,
        ..wire::Member::default()
    }
}

/// What a member that does not run is waiting for.
fn waits_for(node: Option<&Node>, member: MemberId) -> String {
    match node.map(|node| &node.replica) {
        Some(replica @ Replica::Waiting { member: id, .. }) if *id == member => {
            replica.ailment().unwrap_or("it waits for its first snapshot").to_owned()
        }
        _ => "its data is gone, and another member takes its place".to_owned(),
    }
}

const fn role(role: Role) -> wire::Role {
    match role {
        Role::Leader => wire::Role::Leader,
        Role::Follower => wire::Role::Follower,
        Role::Candidate => wire::Role::Candidate,
        Role::Learner => wire::Role::Learner,
    }
}
