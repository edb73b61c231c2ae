//! What a replica keeps: the write-ahead log, snapshots, and the ordered state store.
//!
//! - [`state`]: the keyspace that commands read and write, behind a trait.
//!
//! What must not go here: what the bytes mean. To this crate a log entry, a snapshot header and a value are
//! opaque.

pub mod state;
