//! The handles: one module a kind.
//!
//! A handle turns a method into a command or query for the right partition, and the answer into what a program wants to
//! know. What must not go here: sessions, streams, retries.

mod counter;
mod election;
mod listing;
mod lock;
mod map;
mod set;
mod value;
mod watch;

pub use counter::{Counter, CounterChange};
pub use election::{Candidacy, Election, ElectionTerm};
pub use lock::{Acquire, Guard, Lock, LockChange, LockEvent, LockHolder, LockMode, LockStatus, LockWaiter};
pub use map::{Entry, Insert, Map, MapChange, Put, Remove, Transaction, TransactionResult, Update};
pub use set::{Add, Set, SetChange};
pub use value::{DeleteValue, InsertValue, SetValue, UpdateValue, Value, ValueChange};
pub use watch::Watched;

use bytes::Bytes;
use synod_types::{ErrorCode, Version};

use crate::error::{Error, Result};

/// Bytes, and the version under which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned {
    /// What was written.
    pub value: Bytes,
    /// The version that the write gave it.
    pub version: Version,
}

/// What a write has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The version now.
    pub version: Version,
    /// What was there before, if anything was.
    pub previous: Option<Versioned>,
}

/// A version that is expected, for the wire, where 0 means that none is.
fn expected(version: Option<Version>) -> Result<u64> {
    match version {
        Some(Version(0)) => {
            let message = "version 0 is that of nothing: use insert to write only what is not there yet";
            Err(Error::new(ErrorCode::Invalid, message))
        }
        version => Ok(version.unwrap_or_default().get()),
    }
}
