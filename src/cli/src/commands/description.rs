//! Groups as the controller describes them, for output.

use serde::Serialize;
use synod_client::controller::{self, Role};

use crate::output::Row;

/// A group.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) namespace: String,
    pub(super) name: String,
    protocol: String,
    replicas: u32,
    slots: u32,
    pub(super) ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    pub(super) partitions: Vec<Partition>,
}

/// A partition of a group.
#[derive(Debug, Serialize)]
pub(super) struct Partition {
    id: u32,
    /// The node that leads, if any does.
    leader: Option<String>,
    term: u64,
    pub(super) members: Vec<Member>,
}

/// A replica of a partition.
#[derive(Debug, Serialize)]
pub(super) struct Member {
    id: u64,
    node: String,
    role: &'static str,
    endpoint: String,
    ready: bool,
    /// How many entries of the log it is behind.
    lag: u64,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl From<controller::Group> for Group {
    fn from(group: controller::Group) -> Self {
        let controller::Group { namespace, name, protocol, replicas, slots, ready, message, .. } = group;
        let partitions = group.partitions.into_iter().map(Partition::from).collect();
        Self { namespace, name, protocol, replicas, slots, ready, message, partitions }
    }
}

impl From<controller::Partition> for Partition {
    fn from(partition: controller::Partition) -> Self {
        let controller::Partition { id, leader, term, members } = partition;
        let leads = members.iter().find(|member| member.id == leader && leader != 0);
        let leader = leads.map(|member| member.node.clone());
        Self { id, leader, term, members: members.into_iter().map(Member::from).collect() }
    }
}

impl From<controller::Member> for Member {
    fn from(member: controller::Member) -> Self {
        let role = match member.role() {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Learner => "learner",
            Role::Unspecified => "unknown",
        };
        let controller::Member { id, node, endpoint, ready, lag, message, .. } = member;
        Self { id, node, role, endpoint, ready, lag, message }
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

impl Row for Group {
    const HEAD: &'static [&'static str] =
        &["NAMESPACE", "NAME", "PROTOCOL", "PARTITIONS", "REPLICAS", "READY", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.namespace.clone(),
            self.name.clone(),
            self.protocol.clone(),
            self.partitions.len().to_string(),
            self.replicas.to_string(),
            yes_or_no(self.ready),
            self.message.clone(),
        ]
    }
}

/// A partition in a row.
#[derive(Debug, Serialize)]
pub(super) struct PartitionRow<'a> {
    group: &'a Group,
    partition: &'a Partition,
}

impl<'a> PartitionRow<'a> {
    pub(super) fn all(group: &'a Group) -> impl Iterator<Item = Self> {
        group.partitions.iter().map(move |partition| Self { group, partition })
    }
}

impl Row for PartitionRow<'_> {
    const HEAD: &'static [&'static str] =
        &["GROUP", "PARTITION", "LEADER", "TERM", "READY", "LAG", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let Self { group, partition } = self;
        let ready = partition.members.iter().filter(|member| member.ready).count();
        let lag = partition.members.iter().map(|member| member.lag).max().unwrap_or_default();
        let is_waiting = |member: &&Member| !member.message.is_empty();
        let waiting = partition.members.iter().find(is_waiting);
        vec![
            format!("{}/{}", group.namespace, group.name),
            partition.id.to_string(),
            or_dash(partition.leader.as_deref().unwrap_or_default()),
            partition.term.to_string(),
            format!("{ready}/{}", group.replicas),
            lag.to_string(),
            waiting.map(|member| format!("{}: {}", member.node, member.message)).unwrap_or_default(),
        ]
    }
}

/// A member in a row.
#[derive(Debug, Serialize)]
pub(super) struct MemberRow<'a> {
    partition: &'a Partition,
    member: &'a Member,
}

impl<'a> MemberRow<'a> {
    pub(super) fn all(group: &'a Group) -> impl Iterator<Item = Self> {
        group
            .partitions
            .iter()
            .flat_map(|partition| partition.members.iter().map(move |member| Self { partition, member }))
    }
}

impl Row for MemberRow<'_> {
    const HEAD: &'static [&'static str] =
        &["PARTITION", "MEMBER", "NODE", "ROLE", "READY", "LAG", "ENDPOINT", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let Self { partition, member } = self;
        vec![
            partition.id.to_string(),
            member.id.to_string(),
            or_dash(&member.node),
            member.role.to_owned(),
            yes_or_no(member.ready),
            member.lag.to_string(),
            or_dash(&member.endpoint),
            member.message.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let member = |id: u64, role: Role, message: &str| controller::Member {
            id,
            node: format!("sample-{id}"),
            role: role as i32,
            endpoint: format!("127.0.0.1:{id}"),
            ready: message.is_empty(),
            lag: id,
            message: message.to_owned(),
        };
        let members = vec![
            member(1, Role::Leader, ""),
            member(2, Role::Follower, ""),
            member(3, Role::Unspecified, "it does not answer"),
        ];
        let partitions = vec![
            controller::Partition { id: 0, leader: 1, term: 4, members: members.clone() },
            controller::Partition { id: 1, leader: 0, term: 0, members },
        ];
        let (namespace, name) = ("default".to_owned(), "sample".to_owned());
        Group::from(controller::Group { namespace, name, replicas: 3, partitions, ..Default::default() })
    }

    #[test]
    fn a_partition_shows_leader_term_and_the_greatest_lag() {
        let group = group();
        let rows: Vec<_> = PartitionRow::all(&group).map(|row| row.cells()).collect();
        let problem = "sample-3: it does not answer";
        assert_eq!(rows[0], ["default/sample", "0", "sample-1", "4", "2/3", "3", problem]);
        assert_eq!(rows[1][2], "-", "nobody leads, although a member has no id");
    }

    #[test]
    fn every_member_of_every_partition_has_a_row() {
        let group = group();
        let rows: Vec<_> = MemberRow::all(&group).map(|row| row.cells()).collect();
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0], ["0", "1", "sample-1", "leader", "yes", "1", "127.0.0.1:1", ""]);
        assert_eq!(rows[5][4], "no");
    }

    #[test]
    fn rows_fit_their_heads() {
        let group = group();
        assert_eq!(group.cells().len(), Group::HEAD.len());
        assert!(PartitionRow::all(&group).all(|row| row.cells().len() == PartitionRow::HEAD.len()));
        assert!(MemberRow::all(&group).all(|row| row.cells().len() == MemberRow::HEAD.len()));
    }
}
