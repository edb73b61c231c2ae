//! What must hold after every step of every run. One file for each; each says where its promise comes from.
//!
//! | invariant | promise |
//! |---|---|
//! | [`election_safety`] | a term has at most one leader |
//! | [`log_matching`] | equal index and term means equal logs up to there |
//! | [`leader_completeness`] | a leader has every entry that was committed before |
//! | [`durable_commit`] | what is committed is on the disks of a majority |
//! | [`committed_entries`] | what is committed stays, and is the same everywhere |
//! | [`monotonic`] | term, commit, applied and log time never go back |
//! | [`failed_sync`] | a sync that failed is never taken for done |
//! | [`durability`] | what was reported durable is found after any crash |
//! | [`state_hash`] | equal index means equal state |
//! | [`quorums`] | any two majorities that decide have a member in common |
//! | [`fresh_reads`] | a read reflects what was committed before it came |
//! | [`lease`] | who serves reads without asking leads alone |
//! | [`exactly_once`] | a request of a session is executed once, and answered alike |
//! | [`timers`] | nothing ends before its time, and log time runs no faster than time |
//!
//! What must not go here: anything that only shows at the end of a run; see [`judge`](super::judge).

pub(super) mod committed_entries;
pub(super) mod durability;
pub(super) mod durable_commit;
pub(super) mod election_safety;
pub(super) mod exactly_once;
pub(super) mod failed_sync;
pub(super) mod fresh_reads;
pub(super) mod leader_completeness;
pub(super) mod lease;
pub(super) mod log_matching;
pub(super) mod monotonic;
pub(super) mod quorums;
pub(super) mod state_hash;
pub(super) mod timers;

use synod_storage::state::Fault;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub invariant: &'static str,
    /// How.
    pub what: String,
}

impl Violation {
    pub(super) fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl From<Fault> for Violation {
    fn from(fault: Fault) -> Self {
        Self::new("the witness", fault.to_string())
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Whether the promise was kept.
pub(super) type Check = Result<(), Violation>;
