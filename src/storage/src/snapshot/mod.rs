//! Snapshots: the whole state of a replica at one index, in one file.
//!
//! A file is written under a temporary name, synced and renamed, so a snapshot is there in full or not at all. It is
//! a sequence of blocks whose checksums are chained: a missing, repeated or reordered block breaks the chain, and the
//! last block says how much there must have been and what the [hash](crate::state::StateHash) of the state is.
//!
//! The order in which a replica keeps its promises: finish the snapshot, then append its mark to the
//! [log](crate::wal), then let go of the entries before it, and remove older snapshots last.
//!
//! Invariants:
//! - A damaged file gives an error, never another state. A store into which loading failed is to be thrown away.
//! - Writing and receiving go on in steps of the caller's size and never hold more than a block in memory.
//!
//! What must not go here: when to take a snapshot, and what the header and the sections mean.

mod block;
mod error;
mod reader;
mod receiver;
mod store;
mod temporary;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{Result, SnapshotError};
pub use reader::{SectionSink, SnapshotReader};
pub use receiver::SnapshotReceiver;
pub use store::{Newest, SnapshotStore};
pub use writer::{Progress, SnapshotWriter};

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use synod_types::{LogIndex, Term};

/// The first number of sections, which are the caller's own; lower numbers are tables.
pub const SECTION_FIRST: u8 = 128;

const SUFFIX: &str = ".snapshot";

/// Which snapshot: the last entry that is applied in it. Ordered by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The index of the entry.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

impl SnapshotId {
    fn file_name(self) -> String {
        format!("{:016x}-{:016x}{SUFFIX}", self.index.get(), self.term.get())
    }

    fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.file_name())
    }

    /// The snapshot that a file holds by its name; none for other files.
    fn of_file(name: &str) -> Option<Self> {
        let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let id = Self {
            index: LogIndex(u64::from_str_radix(index, 16).ok()?),
            term: Term(u64::from_str_radix(term, 16).ok()?),
        };
        (id.file_name() == name).then_some(id)
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {}", self.index, self.term)
    }
}

/// What stands at the start of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// Which snapshot it is.
    pub id: SnapshotId,
    /// Opaque.
    pub header: Bytes,
}

/// A snapshot that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Which snapshot it is.
    pub id: SnapshotId,
    /// Where it is.
    pub path: PathBuf,
    /// How long it is, in bytes.
    pub bytes: u64,
}
