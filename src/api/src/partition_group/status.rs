//! What the operator reports about a group. Clients find the members by it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{PARTITIONS_MAX, REPLICAS_MAX};

/// The most members that one partition reports: while one is replaced, the old and the new both count.
const MEMBERS_PER_PARTITION_MAX: u32 = 2 * REPLICAS_MAX;

/// What is known of the group. The operator writes it; nothing is decided by it that cannot be asked of the members.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionGroupStatus {
    /// The generation of the spec that the operator last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How the group is, one entry per question: `Ready`, `Progressing`, `Degraded`, `QuorumLost`, `CertificatesReady`,
    /// `SpecRejected`, `Paused`. The message of each says what to do if something is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,

    /// How many members each partition has; the smallest number while they differ.
    #[serde(default)]
    pub replicas: u32,

    /// The label selector of the pods of the group, as text.
    #[serde(default)]
    pub selector: String,

    /// How many partitions serve.
    #[serde(default)]
    pub ready_partitions: u32,

    /// How many members the partitions have together.
    #[serde(default)]
    pub members: u32,

    /// How many of the members are ready.
    #[serde(default)]
    pub ready_members: u32,

    /// The totals as people read them.
    #[serde(default)]
    pub summary: StatusSummary,

    /// The version of Synod that the members run; the oldest while they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The certificates, in PEM, of those who sign the certificates of the replicas: what clients trust. It is missing
    /// where nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,

    /// Each partition, in the order of the ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PARTITIONS_MAX))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub partitions: Vec<PartitionStatus>,
}

/// The totals as people read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusSummary {
    /// Partitions that serve, of all, as in `3/3`.
    #[serde(default)]
    pub partitions: String,

    /// Members that are ready, of all, as in `9/9`.
    #[serde(default)]
    pub members: String,
}

/// One partition.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionStatus {
    /// The number of the partition: 0 to partitions - 1.
    pub id: u32,

    /// Where the partition is in its life.
    pub phase: PartitionPhase,

    /// The member that leads, by its id; left out while none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,

    /// The term of the leader. It grows with every election.
    #[serde(default)]
    pub term: u64,

    /// Each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MEMBERS_PER_PARTITION_MAX))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub members: Vec<MemberStatus>,

    /// When the partition came to life. It does so once: a partition with this time set is never created anew over
    /// data that may still exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrapped_at: Option<Time>,

    /// The member with which the partition has gone on alone, by the id that it had, because `spec.recovery` said so. What
    /// never reached it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_from: Option<String>,
}

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PartitionPhase {
    /// It waits for its first members.
    #[default]
    Pending,
    /// It is being brought to life.
    Bootstrapping,
    /// It has a leader and a majority.
    Serving,
    /// A majority is there and elects a leader.
    Electing,
    /// No majority is there.
    QuorumLost,
}

/// One member of a partition: a replica in one incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// The id of the member, in decimal digits. Text, because JSON numbers of this size lose digits on their way.
    pub id: String,

    /// The node (on Kubernetes: the pod) that hosts it.
    pub node: String,

    /// What it does in its partition.
    pub role: MemberRole,

    /// Whether it answers and has caught up.
    pub ready: bool,

    /// How many log entries it is behind its leader.
    #[serde(default)]
    pub lag: u64,

    /// The version of Synod that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Where clients reach it, as host:port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// Why it is not ready, or what ails it although it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a member does in its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberRole {
    /// It does not answer.
    #[default]
    Unknown,
    /// It orders the writes.
    Leader,
    /// It votes and follows.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It receives the log and does not vote yet.
    Learner,
}

impl PartitionGroupStatus {
    /// Counts `partitions` into the totals, which is the only place where they are computed. `expected` is how many
    /// partitions the group should have.
    pub fn count(&mut self, expected: u32) {
        let serving = |partition: &&PartitionStatus| partition.phase == PartitionPhase::Serving;
        let members = || self.partitions.iter().flat_map(|partition| &partition.members);
        let ready_partitions = count_of(self.partitions.iter().filter(serving));
        let ready_members = count_of(members().filter(|member| member.ready));
        let all_members = count_of(members());
        let sizes = self.partitions.iter().map(|partition| count_of(&partition.members));
        self.replicas = sizes.min().unwrap_or(0);
        self.ready_partitions = ready_partitions;
        self.ready_members = ready_members;
        self.members = all_members;
        self.summary = StatusSummary {
            partitions: format!("{ready_partitions}/{expected}"),
            members: format!("{ready_members}/{all_members}"),
        };
    }
}

fn count_of<T>(items: impl IntoIterator<Item = T>) -> u32 {
    u32::try_from(items.into_iter().count()).unwrap_or(u32::MAX)
}
