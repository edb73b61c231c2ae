//! Keeps groups as they are declared.
//!
//! - [`membership`]: what to do next about the members of one partition, decided by pure functions from what its
//!   nodes report, and done through their admin service.
//! - [`controller`]: the gRPC service by which clients find groups.
//! - [`kubernetes`]: the operator, which uses both where nodes are pods. `synod dev` uses them where nodes are processes.
//!
//! Invariants:
//! - What decides does no I/O, and what does I/O decides nothing.
//! - At most one disruptive step of a partition is under way, and each is proved harmless before it is taken.
//!
//! What must not go into the first two: how a node comes to run.

mod channel;
pub mod controller;
pub mod kubernetes;
pub mod membership;
mod message;

#[cfg(test)]
mod tests;
