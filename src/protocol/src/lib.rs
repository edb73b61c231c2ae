//! Replication, as state machines that do no I/O, behind one contract: [`Protocol`].
//!
//! An implementation is told what happens (a message came, time passed, a write is durable) and hands out an
//! [`Output`]: what to write, what to send, what is committed. It owns no socket, file, clock or thread, so the
//! server and the simulator drive the same code.
//!
//! - [`raft`]: Raft, on the crate `raft`, with leader leases of our own.
//!
//! Invariants that every implementation keeps, given that its caller does its duties (see [`Protocol`]):
//! - Two members never commit different entries at one index.
//! - What was committed stays committed, in every later term.
//! - A read that was confirmed sees every entry that was committed before the read began.
//! - Deterministic: equal inputs give equal outputs.
//!
//! What must not go here: what entries mean, how messages are encoded, logging.

mod contract;
pub mod raft;

pub use contract::{
    Change, Entry, EntryKind, HardState, Membership, Message, Output, Persist, Progress, Protocol, ReadReady,
    Refused, Role, SnapshotMetadata, Standing, Status, Token,
};
