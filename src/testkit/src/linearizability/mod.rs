//! Whether a recorded history is linearizable: could every operation have taken effect at one moment between its
//! invocation and its return, one after another, on a single copy of the object?
//!
//! ```text
//!   history ──▶ partition ──▶ search, one for each partition ──▶ report
//!               (by key)      (model, timeline, cache)           (verdict, explanation, counts)
//! ```
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with the memory of Lowe
//! ("Testing for linearizability", 2017): operations are placed one by one in front of the first return that is still
//! to come, taken back when that leads nowhere, and a configuration (which operations are placed, and the state after
//! them) is never entered twice. What makes it fast:
//! - A history is split by key first; linearizability is local, so each part can be judged by itself.
//! - An observation that the present state allows is placed at once and for good; see [`Model::observes`].
//! - Of the others, the one that returned first is tried first, and what never returned is tried last.
//! - Of operations that never returned and are alike, the earliest is tried only; see [`Model::alike`].
//! - A configuration in which something is still needed that nothing can bring about any more is not entered; see
//!   [`Model::mark`].
//! - A configuration is stored as the operations that were not placed in order, not as one bit for each.
//!
//! Invariants:
//! - Exact: a verdict of linearizable or not is right for the given model and history. Hashes only speed up.
//! - Deterministic: the same history, model and [`Budget`] give the same report, but for a budget in time.
//! - Bounded: beyond the budget the verdict is unknown, and the report counts how often that happened.
//!
//! # What it does not cover
//!
//! - **Weaker reads.** Sequential reads may be stale and are not linearizable: they go to
//!   [`oracle::session`](crate::oracle::session), and watches to [`oracle::watch`](crate::oracle::watch).
//! - **Across partitions.** A clear, a listing or a length is judged for one partition of the group, as it is promised.
//!   Nothing is promised across partitions, and nothing is checked.
//! - **Creation and deletion of primitives.** The models know primitives that exist throughout the history.
//! - **Exact times.** A TTL or lease is judged by when its request was sent and when an answer came: the models refuse
//!   an end that was certainly too early, within a [`ClockBound`](crate::oracle::ClockBound), and allow any delay.
//!   Whether things end at all, and how late, is for [`oracle::expiry`](crate::oracle::expiry).
//! - **What the models leave open.** A version or fence that nobody was told is any number that fits the order; that it
//!   was found to differ from an expected one is not remembered. A length of a map or set with items that may have
//!   expired only has to be possible by itself. The lease that is left, metadata and events are not compared.
//! - **Requests that are refused by a limit** (`RESOURCE_EXHAUSTED`) say that nothing was done; that the limit was
//!   really reached is not checked.
//! - **What nobody did.** A checker sees what the history exercises; a write that nobody reads afterwards can be lost
//!   without a trace. Read everything back when the faults are over.
//! - **A model that is wrong** in the way in which the product is wrong. The models are held against the product's own
//!   state machines in `tests/linearizability`.
//!
//! What must not go here: recording (the simulator's and the tests'), anything that is linear and special to one
//! promise ([`oracle`](crate::oracle)).

mod cache;
mod check;
mod heard;
mod marks;
mod model;
pub mod models;
mod operation;
mod partition;
mod placed;
mod report;
mod search;
mod timeline;
mod trial;
pub mod wire;

pub use check::{Budget, check};
pub use heard::Heard;
pub use model::{Call, Leaves, Model, Scope};
pub use operation::{MalformedHistory, Operation};
pub use report::{Report, Undecided, Verdict, Violation};
