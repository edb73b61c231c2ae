//! What the nodes say of one partition.

use synod_proto::admin::v1 as wire;
use synod_types::{LogIndex, MemberId, PartitionId, Term};

use super::genesis::Founder;

/// What is known of one partition at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Every node that is to have a member, and every other that may have one, in the order of preference.
    pub nodes: Vec<Node>,
}

/// A node, as one partition sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the group.
    pub name: String,
    /// The host:port for other replicas.
    pub peer_address: String,
    /// The host:port for clients and administrators.
    pub client_address: String,
    /// Whether the partition is to have a member here.
    pub desired: bool,
    /// The replica that it hosts.
    pub replica: Replica,
}

/// A replica, from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replica {
    /// The node does not answer: nothing is known.
    Unreachable,
    /// It has neither data nor an id.
    Blank,
    /// It has an id, has never had data, and waits to be bootstrapped or to get a snapshot.
    Waiting {
        /// Who it is.
        member: MemberId,
        /// Why it could not receive a snapshot that it was offered; empty if nothing ails it.
        problem: String,
    },
    /// It holds data and takes part.
    Running(Running),
    /// It stopped for good. It holds data that it cannot use.
    Failed {
        /// Who it was, if it could tell.
        member: Option<MemberId>,
        /// Why, and what to do about it.
        problem: String,
    },
    /// It stopped for want of room on its disk. It holds all that it had, and starts again once there is room.
    Stalled {
        /// Who it was, if it could tell.
        member: Option<MemberId>,
        /// What it could not write.
        problem: String,
    },
}

/// A replica that takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Who it is.
    pub member: MemberId,
    /// What it does.
    pub role: Role,
    /// The newest term that it knows.
    pub term: Term,
    /// Who leads, as far as it knows.
    pub leader: Option<MemberId>,
    /// How far its state has come.
    pub applied: LogIndex,
    /// How far it knows the log to be committed.
    pub commit: LogIndex,
    /// The last entry of its log, committed or not.
    pub last: LogIndex,
    /// The term of that entry.
    pub last_term: Term,
    /// The members, as of `applied`.
    pub members: Vec<Member>,
    /// What ails it although it runs; empty if nothing does.
    pub problem: String,
}

/// What a replica does in its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It orders the log.
    Leader,
    /// It follows, and votes.
    #[default]
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows, and does not vote.
    Learner,
}

/// A member, as a replica knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which incarnation.
    pub id: MemberId,
    /// The node that hosts it.
    pub node: String,
    /// The host:port for clients.
    pub client_address: String,
    /// Whether it counts in majorities.
    pub votes: bool,
    /// The last entry that it is known to have on disk. Only the leader knows.
    pub matched: LogIndex,
    /// Whether the leader heard of it lately. Only the leader knows.
    pub active: bool,
}

impl Node {
    /// The replica, if it takes part.
    pub fn running(&self) -> Option<&Running> {
        match &self.replica {
            Replica::Running(running) => Some(running),
            _ => None,
        }
    }

    /// The replica, if it takes part as this member.
    pub fn running_as(&self, member: MemberId) -> Option<&Running> {
        self.running().filter(|running| running.member == member)
    }

    /// What the replica here would be as a first member under this id.
    pub fn founder(&self, id: MemberId) -> Founder {
        Founder {
            id,
            node: self.name.clone(),
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
        }
    }
}

impl Observation {
    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Every replica that takes part, with its node.
    pub fn running(&self) -> impl Iterator<Item = (&Node, &Running)> {
        self.nodes.iter().filter_map(|node| Some((node, node.running()?)))
    }

    /// The replica that leads, with its node. Of several the one of the newest term: the others have not noticed yet
    /// that they were replaced, and can do nothing.
    pub fn leader(&self) -> Option<(&Node, &Running)> {
        let leaders = self.running().filter(|(_, running)| running.role == Role::Leader);
        leaders.max_by_key(|(_, running)| running.term)
    }
}

impl Replica {
    /// The replica of a partition in the status of a node. A node that does not mention it has never been asked about
    /// it, so that it is blank.
    pub fn of_status(status: &wire::StatusResponse, group: &str, partition: PartitionId) -> Self {
        let fits = |replica: &&wire::Replica| replica.group == group && replica.partition == partition.get();
        status.replicas.iter().find(fits).map_or(Self::Blank, Self::from)
    }

    /// What ails it although it has not stopped, if anything does: it cannot save or receive a snapshot.
    pub fn ailment(&self) -> Option<&str> {
        match self {
            Self::Running(Running { problem, .. }) | Self::Waiting { problem, .. } => {
                Some(problem.as_str()).filter(|problem| !problem.is_empty())
            }
            Self::Unreachable | Self::Blank | Self::Failed { .. } | Self::Stalled { .. } => None,
        }
    }
}

impl From<&wire::Replica> for Replica {
    fn from(replica: &wire::Replica) -> Self {
        let member = Some(MemberId(replica.member_id)).filter(|member| member.get() != 0);
        match (replica.phase(), member) {
            (wire::Phase::Blank, _) => Self::Blank,
            (wire::Phase::Waiting, Some(member)) => {
                Self::Waiting { member, problem: replica.problem.clone() }
            }
            (wire::Phase::Running, Some(member)) => Self::Running(Running::of(member, replica)),
            (wire::Phase::Failed, member) => Self::Failed { member, problem: replica.problem.clone() },
            (wire::Phase::Stalled, member) => Self::Stalled { member, problem: replica.problem.clone() },
            // What a newer version says is not guessed at.
            _ => Self::Unreachable,
        }
    }
}

impl Running {
    fn of(member: MemberId, replica: &wire::Replica) -> Self {
        Self {
            member,
            role: match replica.role() {
                wire::Role::Leader => Role::Leader,
                wire::Role::Candidate => Role::Candidate,
                wire::Role::Learner => Role::Learner,
                wire::Role::Follower | wire::Role::Unspecified => Role::Follower,
            },
            term: Term(replica.term),
            leader: Some(MemberId(replica.leader)).filter(|leader| leader.get() != 0),
            applied: LogIndex(replica.applied_log_index),
            commit: LogIndex(replica.commit_log_index),
            last: LogIndex(replica.last_log_index),
            last_term: Term(replica.last_log_term),
            members: replica.members.iter().filter_map(Member::of).collect(),
            problem: replica.problem.clone(),
        }
    }
}

impl Member {
    fn of(status: &wire::MemberStatus) -> Option<Self> {
        let member = status.member.as_ref()?;
        Some(Self {
            id: MemberId(member.id),
            node: member.node.clone(),
            client_address: member.client_address.clone(),
            votes: member.role() != synod_proto::types::v1::MemberRole::Learner,
            matched: LogIndex(status.matched_log_index),
            active: status.active,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(replica: wire::Replica) -> wire::StatusResponse {
        let replica = wire::Replica { group: "default/sample".into(), partition: 1, ..replica };
        wire::StatusResponse { replicas: vec![replica], ..wire::StatusResponse::default() }
    }

    #[test]
    fn a_replica_is_found_by_group_and_partition() {
        let waiting =
            wire::Replica { phase: wire::Phase::Waiting as i32, member_id: 7, ..wire::Replica::default() };
        let status = status(waiting);
        let found = |group, partition| Replica::of_status(&status, group, PartitionId(partition));
        assert_eq!(
            found("default/sample", 1),
            Replica::Waiting { member: MemberId(7), problem: String::new() }
        );
        assert_eq!(found("default/sample", 2), Replica::Blank);
        assert_eq!(found("other/sample", 1), Replica::Blank);
    }

    #[test]
    fn what_cannot_be_understood_is_unknown_and_never_blank() {
        for (phase, member_id) in [(99, 7), (0, 7), (wire::Phase::Waiting as i32, 0)] {
            let odd = wire::Replica { phase, member_id, ..wire::Replica::default() };
            assert_eq!(Replica::from(&odd), Replica::Unreachable, "phase {phase}, member {member_id}");
        }
    }

    #[test]
    fn of_two_leaders_the_one_of_the_newer_term_leads() {
        let node = |name: &str, term| Node {
            name: name.into(),
            peer_address: String::new(),
            client_address: String::new(),
            desired: true,
            replica: Replica::Running(Running { role: Role::Leader, term: Term(term), ..Running::default() }),
        };
        let observation = Observation { nodes: vec![node("a", 3), node("b", 4), node("c", 2)] };
        assert_eq!(observation.leader().map(|(node, _)| node.name.as_str()), Some("b"));
    }
}
