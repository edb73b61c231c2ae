//! Use the distributed primitives of Synod from a Rust program.
//!
//! ```
//! # #[cfg(feature = "embedded")]
//! # #[tokio::main]
//! # async fn main() -> synod_client::Result<()> {
//! use std::time::Duration;
//! use synod_client::Client;
//!
//! // In a program: Client::builder().controller("http://127.0.0.1:5679").build().await?
//! let client = Client::embedded().await?;
//! let group = client.default_group().await?;
//!
//! let users = group.map("users");
//! let written = users.put("alice", "1").ttl(Duration::from_secs(60)).await?;
//! users.put("alice", "2").if_version(written.version).await?;
//! assert_eq!(users.get("alice").await?.unwrap().value, "2");
//!
//! assert_eq!(group.counter("hits").increment(1).await?, 1);
//!
//! let guard = group.lock("deploy").acquire().wait(Duration::from_secs(5)).await?;
//! println!("fence {}", guard.fence());
//! guard.release().await?;
//!
//! client.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "embedded"))]
//! # fn main() {}
//! ```
//!
//! # What happens behind a call
//!
//! ```text
//!   Map, Lock, …      which partition, which command                     primitives, handle
//!      │
//!   Partition         leader for writes, any replica for sequential reads partition
//!      │
//!   Link              one task and one stream to the leader              partition/link
//!      │
//!   Pipeline          sequences, what is in flight, what to send again   partition/pipeline, pure
//! ```
//!
//! - **Exactly once.** A write has a session and a sequence, and keeps them however often it is sent: after a lost
//!   connection, a leader change, a restart. If a call returns a value, it was executed once. If it returns an error,
//!   [`Error::may_have_happened`] tells whether that is certain not to have happened.
//! - **No read goes back in time.** Reads are linearizable, unless a handle is told to take
//!   [sequential](Consistency::Sequential) ones, which never show less than the client has seen.
//! - **Streams of events have no gap and no repeat**, across leader changes and restarts; when the history does not reach
//!   back far enough, they say so.
//! - **What is held is given up in time.** A [`Guard`] or [`Candidacy`] counts as lost before the server could give what
//!   it holds to somebody else.
//!
//! # Encryption
//!
//! In a cluster the client speaks TLS with the controller, and learns from the API server, as every pod can, whom to believe
//! to be it; nobody has to configure that. [`ClientBuilder::controller_ca`] names the authorities where there is no API server.
//! An address that begins with `http://` means plain text, in which the token of the program can be read by others.
//!
//! The controller names the authorities that sign the certificates of a group's replicas, and a client believes nobody
//! else to be one; a group that is declared as plain text is spoken to in plain text. A program that would rather not
//! believe the controller names the authorities itself: [`ClientBuilder::ca`].
//!
//! # Timeouts and cancellation
//!
//! An operation tries for as long as the request timeout, over all leaders that come and go. Dropping its future gives it
//! up earlier, which is safe at any moment: a write that was not sent yet never will be. When it gives up on a write that
//! may have been sent, that write is not sent again. The next write of this client to the same partition that begins
//! when no earlier one waits any more settles it: once that has succeeded, the one that was given up has happened by then,
//! or never will.
//!
//! What must not go here: anything that decides about data. That is the replicas'.

pub mod admin;
pub mod controller;
pub mod resolver;

mod alarm;
mod backoff;
mod builder;
mod catalog;
mod client;
mod clock;
mod connections;
mod credentials;
mod discovery;
#[cfg(any(test, feature = "embedded"))]
mod embedded;
mod error;
mod events;
mod group;
mod handle;
mod hold;
mod partition;
mod primitives;
mod tenure;
mod trust;

#[cfg(test)]
mod tests;

// The examples are tested as modules of this crate, and name it as programs do.
#[cfg(test)]
extern crate self as synod_client;

pub use builder::ClientBuilder;
pub use catalog::Description;
pub use client::Client;
pub use credentials::Credentials;
#[cfg(any(test, feature = "embedded"))]
pub use embedded::EmbeddedBuilder;
pub use error::{Error, Result};
pub use events::{Cursor, Event, EventStream, Events};
pub use group::Group;
pub use hold::{HoldState, Loss};
pub use partition::Consistency;
pub use primitives::{
    Acquire, Add, Candidacy, Counter, CounterChange, DeleteValue, Election, ElectionTerm, Entry, Guard,
    Insert, InsertValue, Lock, LockChange, LockEvent, LockHolder, LockMode, LockStatus, LockWaiter, Map,
    MapChange, Put, Remove, Set, SetChange, SetValue, Transaction, TransactionResult, Update, UpdateValue,
    Value, ValueChange, Versioned, Watched, Written,
};
pub use synod_types::{ErrorCode, Fence, PartitionId, Position, PrimitiveKind, Version};
pub use trust::Trust;
