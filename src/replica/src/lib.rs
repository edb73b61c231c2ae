//! One replica of a partition, pure: inputs in, effects out.
//!
//! ```text
//!   requests, messages, time, completions            replies, messages, writes, events
//!        │                                                        ▲
//!        ▼                                                        │
//!   ┌─ Replica ───────────────────────────────────────────────────┴──┐
//!   │ protocol (raft)    leader: clock, expiry, proposals   reads    │
//!   │ machine: sessions, timers, primitives, history        watches  │
//!   └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! It owns no socket, file, clock, thread or random number, so that the server (threads, tonic, disk) and the
//! simulator (one thread, a seed) drive the same code. A driver calls [`Replica::handle`] for each input, then
//! [`Replica::flush`], and carries out the [`Effect`]s in order; it calls again no later than [`Replica::deadline`].
//!
//! Invariants:
//! - A reply to a write is handed out only after the write is committed and applied here.
//! - A linearizable read sees every write that was answered before it came.
//! - A session is never ended before its timeout has passed since the last answered keep-alive.
//! - Whatever is kept for clients is bounded; beyond, requests are refused at once with RESOURCE_EXHAUSTED.
//!
//! What must not go here: what a primitive means (`synod-primitives`), how a log is replicated (`synod-protocol`),
//! bytes on disk (`synod-storage`).

mod admin;
mod committed;
mod event;
mod expiry;
#[cfg(test)]
mod expiry_model;
mod leader;
pub mod machine;
mod proposals;
mod reads;
mod recovery;
mod replica;
mod requests;
mod slow_disk;
mod snapshots;
mod watches;
pub mod wire;

#[cfg(test)]
mod tests;

pub use event::{Admin, ClientId, Effect, Input, Options, SnapshotJob, Tag};
pub use machine::{Configuration, Genesis, History};
pub use recovery::{Found, Recovered, recover};
pub use replica::{Replica, Status};
