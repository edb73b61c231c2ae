//! The limits of a partition. They are part of its replicated configuration, because whether a command is
//! refused must not depend on which replica applies it.

/// Bounds on what one partition accepts and keeps. All sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The greatest encoded command.
    pub request_bytes: u64,
    /// The longest key of a map or element of a set.
    pub key_bytes: u64,
    /// The greatest value.
    pub value_bytes: u64,
    /// The most operations of one transaction.
    pub transaction_operations: u64,
    /// The most open sessions.
    pub sessions: u64,
    /// The most results that one session may leave unacknowledged.
    pub session_results: u64,
    /// The most waiters of one lock, and candidates of one election.
    pub waiters: u64,
    /// The most changes that the history for watchers holds.
    pub history_changes: u64,
    /// The most bytes that the history for watchers holds.
    pub history_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 1_572_864,
            key_bytes: 4_096,
            value_bytes: 1_048_576,
            transaction_operations: 128,
            sessions: 100_000,
            session_results: 10_000,
            waiters: 10_000,
            history_changes: 100_000,
            history_bytes: 16 * 1_048_576,
        }
    }
}
