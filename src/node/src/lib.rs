//! A node: the process that hosts replicas for real.
//!
//! ```text
//!   tokio (one thread)
//!     clients ── session streams, unary calls ──┐          ┌── peer streams ── other nodes
//!                                               ▼          ▼
//!                                           services     peers
//!                                               │ inbox    ▲ messages
//!     one task a replica                        ▼          │
//!                                             driver ── Replica (pure)
//!   one thread a replica's log                  │ writes   ▲ completions
//!                                               ▼          │
//!                                             writer ── write-ahead log
//! ```
//!
//! Invariants:
//! - One task owns one replica's core, and its queues are bounded. It shares the thread of the network: a write that has
//!   nothing before it goes from the socket through the core to the other members without waking a thread, which costs
//!   more than the work itself. A turn that takes long delays all that the node does, so none may wait for anything.
//! - The network never waits for the disk, nor the other way round.
//! - Every request and every peer message names its partition: how many replicas a node hosts is placement.
//! - A replica that fails takes no other one with it.
//! - Where certificates are given, every connection is encrypted, and nodes take messages only from members of the same
//!   partition.
//!
//! What must not go here: anything that decides about data. That is the replica's, where the simulator can see it.

mod accept;
mod clock;
mod config;
mod dialer;
mod drain;
mod driver;
mod home;
mod host;
mod http;
mod inbox;
mod log;
mod mailbox;
mod metrics;
mod node;
mod offers;
mod outbox;
mod peers;
mod scans;
mod service;
mod slot;
mod snapshots;
mod tls;
mod writer;

pub use accept::connections;
pub use clock::SystemClock;
pub use config::{Config, ListenError};
pub use home::{Home, HomeError, Opened};
pub use log::{LogWriter, Write};
pub use node::{Node, StartError};
pub use tls::TlsError;

#[cfg(test)]
mod tests;
