//! The write-ahead log of one replica: entries, hard state and snapshot marks in one stream, so that one sync covers
//! them all.
//!
//! ```text
//!  segment 7             segment 8             segment 9 (written now)       segment 10 (spare)
//! +--------------------+---------------------+-----------------------------+--------------------+
//! | H S M E E E E E E  | H S M E E E E E     | H S M E E E E|E E           | zeros, or old bytes|
//! +--------------------+---------------------+-----------------------------+--------------------+
//!   H header, S hard state, M snapshot mark, E entry         ^ synced  ^ written
//! ```
//!
//! Invariants:
//! - What [`Wal::sync`] returned for is found again after any crash, or the log refuses to open. Of what came later a
//!   first part may be found, in order; nothing else ever is. How that is told from damage: the module `recovery`.
//! - A group of records costs one write and one sync. When it goes over the end of a segment, it costs one of each
//!   for either segment, the old one first.
//! - Every segment starts with the hard state and the snapshot mark in force, so that earlier ones can go.
//! - After the first write or sync that fails, the log takes nothing any more. A sync is never tried again: the kernel
//!   may have dropped the data, and would say that all is well.
//!
//! The log has no threads: whoever owns it calls it. What must not go here: what entries mean, and when to sync.

mod error;
mod extent;
mod files;
pub(crate) mod group;
mod log;
pub(crate) mod record;
mod recovery;
mod replay;
pub(crate) mod segment;
#[cfg(test)]
mod tests;

pub use error::{Result, WalError};
pub use log::Wal;

use std::fmt;

use bytes::Bytes;
use synod_types::{LogIndex, MemberId, Term};

/// The number of a record in the log of one replica: 1, 2, 3… It has nothing to do with the index of an entry.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What kind of entry it is. The numbers are persisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A batch of commands.
    #[default]
    Normal = 0,
    /// A membership change.
    Membership = 1,
}

impl EntryKind {
    /// The kind with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Normal),
            1 => Some(Self::Membership),
            _ => None,
        }
    }
}

/// An entry of the replicated log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The term it was proposed in.
    pub term: Term,
    /// Its position. An entry replaces the one at its position and all behind it.
    pub index: LogIndex,
    /// What kind it is.
    pub kind: EntryKind,
    /// Opaque.
    pub payload: Bytes,
}

/// What a replica must not forget, besides the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term; 0 is nobody.
    pub vote: MemberId,
    /// How far it knows the log to be committed.
    pub commit: LogIndex,
}

/// Where the log starts: right after this entry, because a durable snapshot covers it and everything before.
///
/// If the log holds that entry, with that term, what follows it stays. Otherwise what it holds is of a history that
/// lost, and all of it goes. The default means that the log starts at its first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The last entry that the log no longer needs.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

impl fmt::Display for SnapshotMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {}", self.index, self.term)
    }
}

/// What is appended together. It is recorded in the order of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// Restarts the log.
    pub snapshot_mark: Option<SnapshotMark>,
    /// Entries, each at most one past the last, none before the mark.
    pub entries: &'a [Entry],
    /// Replaces the hard state.
    pub hard_state: Option<HardState>,
}

/// How a log is kept. Only the member must be the same each time it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// Whose log it is.
    pub member: MemberId,
    /// The size of new segments: a multiple of 4096 from 16 KiB to 1 GiB. The greatest entry is about as big.
    pub segment_bytes: u64,
    /// How many removed segments are kept for use as new ones.
    pub spare_segments: usize,
}

impl WalOptions {
    /// The defaults: segments of 64 MiB, of which two are kept.
    pub const fn new(member: MemberId) -> Self {
        Self { member, segment_bytes: 64 * 1_048_576, spare_segments: 2 }
    }
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last hard state; the default if there was none. Its commit is never behind the mark.
    pub hard_state: HardState,
    /// Where the log starts, unless at its first entry.
    pub snapshot_mark: Option<SnapshotMark>,
    /// The entries after the mark, without a gap.
    pub entries: Vec<Entry>,
    /// How much was cut off at the end because the machine stopped before it was synced: the bytes up to the last
    /// record header that was found there.
    pub torn_tail_bytes: u64,
}

/// How far a spare segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// There is one.
    Ready,
    /// Call again.
    Underway,
}
