//! The replication protocol of a group and its options: one field per protocol that has some.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{
    heartbeats_fit_election_timeout, protocol_exists, protocol_stays, raft_options_go_with_raft,
};

/// How the replicas of a partition agree.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = protocol_exists(),
    validation = raft_options_go_with_raft()
)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolSpec {
    /// The protocol: `Raft`. `Log` (primary and backups) and `Paxos` are not available yet. It cannot be changed later.
    #[serde(rename = "type", default)]
    #[x_kube(validation = protocol_stays())]
    pub protocol: ProtocolType,

    /// Options of Raft. Only with type `Raft`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft: Option<RaftSpec>,
}

impl ProtocolSpec {
    /// The options of Raft: what the spec sets, and the defaults for the rest.
    pub fn raft(&self) -> RaftSpec {
        self.raft.clone().unwrap_or_default()
    }
}

/// A replication protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProtocolType {
    /// A leader that a majority elects; a write is committed when a majority has it.
    #[default]
    Raft,
    /// A primary with backups; a write is committed when all of them have it. Not available yet.
    Log,
    /// Multi-paxos. Not available yet.
    Paxos,
}

/// Options of Raft.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = heartbeats_fit_election_timeout())]
#[serde(rename_all = "camelCase")]
pub struct RaftSpec {
    /// How often the leader tells its followers that it is alive, in milliseconds: 10 to 5000.
    #[serde(default = "default_heartbeat_ms")]
    #[schemars(range(min = 10, max = 5_000))]
    pub heartbeat_ms: u32,

    /// How long a follower waits for its leader before it asks for an election, in milliseconds: 50 to 60000, and at
    /// least five times `heartbeatMs`. A leader that crashes is noticed sooner, by its closed connections.
    #[serde(default = "default_election_timeout_ms")]
    #[schemars(range(min = 50, max = 60_000))]
    pub election_timeout_ms: u32,

    /// How many bytes of log are applied before the next snapshot is taken: 1048576 to 17179869184. Beyond, one is
    /// taken when the log has half the size of the last one; in memory no more than a quarter of this is kept of what
    /// all members have. Less makes restarts faster and writes more.
    #[serde(default = "default_snapshot_log_bytes")]
    #[schemars(range(min = 1_048_576, max = 17_179_869_184_u64))]
    pub snapshot_log_bytes: u64,

    /// How many bytes of log are kept in memory behind a snapshot, so that a follower that is a little behind needs no
    /// whole snapshot: 0 to 1073741824.
    #[serde(default = "default_log_tail_bytes")]
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub log_tail_bytes: u64,
}

impl Default for RaftSpec {
    fn default() -> Self {
        Self {
            heartbeat_ms: default_heartbeat_ms(),
            election_timeout_ms: default_election_timeout_ms(),
            snapshot_log_bytes: default_snapshot_log_bytes(),
            log_tail_bytes: default_log_tail_bytes(),
        }
    }
}

const fn default_heartbeat_ms() -> u32 {
    50
}

const fn default_election_timeout_ms() -> u32 {
    1_000
}

const fn default_snapshot_log_bytes() -> u64 {
    32 << 20
}

const fn default_log_tail_bytes() -> u64 {
    4 << 20
}
