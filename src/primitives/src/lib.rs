//! The deterministic state machines: what commands, queries and timers do to the state store.
//!
//! One folder a kind, one file a command: the request (its message comes from `synod-proto`), what it may touch,
//! what it answers, its tests. The folders share the context in which a command runs and the [`keys`] under
//! which everything is stored.
//!
//! Invariants (rule numbers are those of the behaviour reference, C1-C13):
//! - Deterministic (C12): the result depends on the store, the command and the [`Environment`], on nothing else.
//! - A rejected command has changed nothing. Commands check first and write after.
//! - Every change that a watcher can see is emitted in the order in which it was made (C7).
//! - The version of an item is the index of the command that wrote it (C5).
//! - What is deleted leaves nothing behind: no timer, no ownership, no count. Only the term of an election stays.
//!
//! What must not go here: sessions and exactly-once (the replica's), routing (the client's), I/O of any kind.

mod apply;
mod bounds;
mod change;
mod context;
mod count;
mod item;
pub mod keys;
mod ownership;
mod query;
mod registry;
mod scan;
mod timers;

mod counter;
mod election;
mod lock;
mod map;
mod set;
mod value;

pub use apply::{apply, fire_timers, session_ended};
pub use change::Change;
pub use context::{Environment, Placement};
pub use query::query;
pub use scan::{ScanChunks, scan};
pub use timers::next_deadline;

#[cfg(test)]
mod determinism;
#[cfg(test)]
mod testing;
