//! What each layer costs by itself, without a network and, but for the log, without a disk: `cargo bench --bench layers`.
//!
//! | benchmark | one iteration is |
//! |---|---|
//! | `wal` | entries appended to a log on a real disk and written, or synced as well |
//! | `raft` | an entry from its proposal to its commit, in one member or in three that hand each other messages |
//! | `apply` | one command of a kind of primitive, on a state of many keys |
//! | `session` | a write of a session through a whole replica; the same request again; a keep-alive |
//! | `codec` | a frame of a session stream, encoded and decoded |
//! | `watch` | a write, and handing its event to all who watch |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "benchmarks: they stop where something is not what it should be"
)]

mod apply;
mod codec;
mod raft;
mod replica;
mod session;
mod wal;
mod watch;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    layers,
    wal::benchmarks,
    raft::benchmarks,
    apply::benchmarks,
    session::benchmarks,
    codec::benchmarks,
    watch::benchmarks
);
criterion_main!(layers);
