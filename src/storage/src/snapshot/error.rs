//! Why a snapshot is refused.

use std::path::PathBuf;

use super::SnapshotId;
use crate::disk::DiskError;
use crate::state::Fault;

/// A result whose error is [`SnapshotError`].
pub type Result<T, E = SnapshotError> = std::result::Result<T, E>;

/// What can go wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state store failed.
    #[error(transparent)]
    State(#[from] Fault),
    /// The file is not what was written. A state that was being loaded from it must be thrown away.
    #[error("the snapshot \"{}\" is damaged at offset {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// A newer version of Synod wrote the file.
    #[error("the snapshot \"{}\" was written by a newer version of Synod: it has {found}", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// What is not known here.
        found: String,
    },
    /// The store to load into holds something already. Nothing was loaded.
    #[error("a snapshot is loaded into an empty store only, and this one holds {keys} keys")]
    NotEmpty {
        /// How many keys it holds.
        keys: u64,
    },
    /// The snapshot cannot be finished before all of the state is written.
    #[error("the snapshot of {id} is not written yet")]
    Unfinished {
        /// Which snapshot.
        id: SnapshotId,
    },
    /// Sections of the caller's own have numbers from 128 on. Nothing was written.
    #[error("{number} is no section: sections are 128 to 255")]
    NoSection {
        /// The number.
        number: u8,
    },
    /// The caller refused a record of one of its sections.
    #[error("section {number} of the snapshot: {reason}")]
    Section {
        /// The section.
        number: u8,
        /// What the caller says.
        reason: String,
    },
    /// A key, value or header is too long for the format. Nothing of it was written.
    #[error("{bytes} bytes are too many for one record of a snapshot")]
    TooLarge {
        /// The length.
        bytes: u64,
    },
    /// A received chunk does not follow the one before, or goes beyond the announced end. It was not taken.
    #[error("a chunk of {bytes} bytes at {offset} does not follow: {expected} of {total} bytes are here")]
    OutOfPlace {
        /// Where it was to go.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// Where the next chunk must start.
        expected: u64,
        /// How long the snapshot is to be.
        total: u64,
    },
    /// Not all of the snapshot was received.
    #[error("only {received} of {total} bytes of the snapshot were received")]
    Incomplete {
        /// How much is here.
        received: u64,
        /// How long the snapshot is to be.
        total: u64,
    },
    /// The snapshot that was received is not the one that was announced.
    #[error("the snapshot of {found} was received as that of {expected}")]
    WrongSnapshot {
        /// What it says.
        found: SnapshotId,
        /// What it should be.
        expected: SnapshotId,
    },
}
