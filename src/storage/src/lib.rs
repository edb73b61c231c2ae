//! What a replica keeps: the write-ahead log, snapshots, its identity, and the ordered state store.
//!
//! - [`disk`]: the files, behind a trait, real and simulated.
//! - [`wal`]: the write-ahead log: entries and hard state, durable with one sync.
//! - [`snapshot`]: the state at one index, in a file.
//! - [`identity`]: who the replica is.
//! - [`state`]: the keyspace that commands read and write, behind a trait.
//! - [`formats`]: every byte of all this on one page.
//!
//! Nothing here has a thread, a clock or randomness of its own: the node drives it from its threads, the simulator
//! from its one.
//!
//! What must not go here: what the bytes mean. To this crate a log entry, a snapshot header and a value are
//! opaque.

pub mod disk;
mod fields;
pub mod formats;
pub mod identity;
pub mod snapshot;
pub mod state;
pub mod wal;
