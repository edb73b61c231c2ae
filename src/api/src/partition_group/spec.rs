//! What a user asks of a group.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{
    durability_exists, members_fit_status, name_fits_service, name_is_no_partition, name_leaves_room,
    partitions_stay, raft_has_odd_replicas,
};
use super::{
    LimitsSpec, PartitionGroupStatus, PodSpec, ProtocolSpec, RecoverySpec, SecuritySpec, StorageSpec,
};

/// The most partitions of one group. Each is a StatefulSet with a budget, a configuration and two Services, so a
/// thousand are about what one namespace should bear; the format of the data would allow 32768.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The most replicas of one partition. More than seven make every write slower and survive no likelier disaster.
pub const REPLICAS_MAX: u32 = 7;

/// The most members of one group: the status lists each of them, and an object may not exceed 1.5 MiB.
pub const MEMBERS_MAX: u32 = 4_096;

/// A PartitionGroup is a replicated store of distributed primitives: maps, sets, locks, elections, counters and
/// values. Its keys are spread over partitions; each partition is kept by several replicas, which agree on every
/// write before it is acknowledged.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "synod.dev",
    version = "v1alpha1",
    kind = "PartitionGroup",
    plural = "partitiongroups",
    shortname = "pg",
    category = "synod",
    namespaced,
    status = "PartitionGroupStatus",
    derive = "PartialEq",
    doc = "A PartitionGroup is a replicated store of distributed primitives: maps, sets, locks, elections, counters and values. Its keys are spread over partitions; each partition is kept by several replicas, which agree on every write before it is acknowledged.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether every partition has a leader and all its members answer"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not, in one word"
    ),
    printcolumn(
        name = "Partitions",
        type_ = "string",
        json_path = ".status.summary.partitions",
        description = "Partitions that serve, of all"
    ),
    printcolumn(
        name = "Members",
        type_ = "string",
        json_path = ".status.summary.members",
        description = "Members that are ready, of all"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the group exists"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "Replicas of each partition that are asked for",
        priority = 1
    ),
    printcolumn(
        name = "Protocol",
        type_ = "string",
        json_path = ".spec.protocol.type",
        description = "The replication protocol",
        priority = 1
    ),
    printcolumn(
        name = "Durability",
        type_ = "string",
        json_path = ".spec.durability",
        description = "What an acknowledged write has survived",
        priority = 1
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "The version of Synod that the members run",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What is the matter and what to do",
        priority = 1
    ),
    validation = name_leaves_room(),
    validation = name_fits_service(),
    validation = name_is_no_partition()
)]
#[x_kube(
    validation = raft_has_odd_replicas(),
    validation = members_fit_status()
)]
#[serde(rename_all = "camelCase")]
pub struct PartitionGroupSpec {
    /// How many partitions the keys are spread over: 1 to 1024, and together with `replicas` at most 4096 members.
    /// Each has its own leader, so more partitions let more writes happen at once. It cannot be changed later: keys
    /// are assigned to partitions by it.
    #[schemars(range(min = 1, max = PARTITIONS_MAX))]
    #[x_kube(validation = partitions_stay())]
    pub partitions: u32,

    /// How many replicas each partition has: 1, 3, 5 or 7 with Raft. 3 survive the loss of one, 5 of two, 7 of three; 1
    /// survives none. It can be changed at any time, also with `kubectl scale`.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = REPLICAS_MAX))]
    pub replicas: u32,

    /// How the replicas of a partition agree.
    #[serde(default)]
    pub protocol: ProtocolSpec,

    /// What an acknowledged write has survived. `Quorum`: it is on the disks of a majority of the replicas.
    /// `UnsafeMemory` is not available yet.
    #[serde(default)]
    #[x_kube(validation = durability_exists())]
    pub durability: Durability,

    /// The volumes of the replicas.
    #[serde(default)]
    pub storage: StorageSpec,

    /// Bounds on what each partition accepts and keeps. Those left out have the defaults that their fields tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,

    /// What protects the group from others on the network.
    #[serde(default)]
    pub security: SecuritySpec,

    /// What the pods of the replicas look like, beyond what the operator decides. `synod dev` does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSpec>,

    /// How a change of the pods reaches the running ones.
    #[serde(default)]
    pub update_policy: UpdatePolicy,

    /// Partitions that have lost their majority for good, and are to go on with what is left. Nothing happens while a
    /// partition has a leader, or while a member that may hold data does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PARTITIONS_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["partition".to_owned()]))]
    pub recovery: Vec<RecoverySpec>,

    /// While true, the operator changes nothing of this group. It still reports the status.
    #[serde(default)]
    pub paused: bool,
}

impl PartitionGroupSpec {
    /// The limits of each partition: what the spec sets, and the defaults for the rest.
    pub fn limits(&self) -> synod_types::Limits {
        self.limits.clone().unwrap_or_default().resolve()
    }
}

/// What an acknowledged write has survived. Anything weaker than a majority's disks says `Unsafe` in its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// It is on the disks of a majority of the replicas.
    #[default]
    Quorum,
    /// It is in the memory of a majority: a power failure of all of them may lose it. Not available yet.
    UnsafeMemory,
}

/// How a change of the pods reaches the running ones.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// `Rolling`: the operator replaces the pods of a partition one at a time, the leader last and only after it has
    /// handed over. `OnDelete`: a pod changes when somebody deletes it.
    #[serde(rename = "type", default)]
    pub update_type: UpdateType,
}

/// Who replaces pods that differ from the spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateType {
    /// The operator, one at a time, the leader last.
    #[default]
    Rolling,
    /// Whoever deletes the pod.
    OnDelete,
}

const fn default_replicas() -> u32 {
    3
}
