//! The limits of the partitions of a group.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use synod_types::Limits;

use super::rules::request_holds_key_and_value;

/// Bounds on what each partition accepts and keeps. They are replicated with the data, so that all replicas refuse
/// the same requests.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = request_holds_key_and_value())]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// The greatest request in bytes, encoded: 65536 to 16777216. Default 1572864 (1.5 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 16_777_216))]
    pub request_bytes: Option<u64>,

    /// The longest key of a map or element of a set, in bytes: 64 to 65536. Default 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 65_536))]
    pub key_bytes: Option<u64>,

    /// The greatest value in bytes: 1024 to 16777216. Default 1048576 (1 MiB). Key and value together must fit a
    /// request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_024, max = 16_777_216))]
    pub value_bytes: Option<u64>,

    /// The most operations of one transaction: 1 to 10000. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub transaction_operations: Option<u64>,

    /// The most sessions that are open on one partition at a time: 1 to 1000000. Default 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sessions: Option<u64>,

    /// The most results that one session may leave unacknowledged: 16 to 1000000. Default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 1_000_000))]
    pub session_results: Option<u64>,

    /// The most waiters of one lock, and candidates of one election: 1 to 1000000. Default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub waiters: Option<u64>,

    /// The most changes that a partition keeps for watchers that fell behind: 1000 to 10000000. Default 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub history_changes: Option<u64>,

    /// The most bytes of changes that a partition keeps for watchers that fell behind: 1048576 (1 MiB) to 1073741824
    /// (1 GiB). Default 16777216 (16 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_048_576, max = 1_073_741_824))]
    pub history_bytes: Option<u64>,
}

impl LimitsSpec {
    /// The limits in full: what is set, and the defaults for the rest.
    pub fn resolve(self) -> Limits {
        let default = Limits::default();
        Limits {
            request_bytes: self.request_bytes.unwrap_or(default.request_bytes),
            key_bytes: self.key_bytes.unwrap_or(default.key_bytes),
            value_bytes: self.value_bytes.unwrap_or(default.value_bytes),
            transaction_operations: self.transaction_operations.unwrap_or(default.transaction_operations),
            sessions: self.sessions.unwrap_or(default.sessions),
            session_results: self.session_results.unwrap_or(default.session_results),
            waiters: self.waiters.unwrap_or(default.waiters),
            history_changes: self.history_changes.unwrap_or(default.history_changes),
            history_bytes: self.history_bytes.unwrap_or(default.history_bytes),
        }
    }
}
