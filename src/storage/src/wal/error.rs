//! Why the log refuses.

use std::path::PathBuf;

use synod_types::{LogIndex, MemberId};

use super::{Lsn, SnapshotMark};
use crate::disk::DiskError;

/// A result whose error is [`WalError`].
pub type Result<T, E = WalError> = std::result::Result<T, E>;

/// What can go wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// The disk failed. What was being written may or may not be there after a restart.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An earlier write or sync failed. The log takes nothing more: open it again, or replace the replica.
    #[error("the log was stopped by an earlier failure: {cause}")]
    Poisoned {
        /// The first failure.
        cause: DiskError,
    },
    /// There is no log in the directory.
    #[error("there is no log in \"{}\"", dir.display())]
    NoLog {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// There is a log in the directory: it is opened, never created anew.
    #[error("there is already a log in \"{}\"", dir.display())]
    LogExists {
        /// Where it is.
        dir: PathBuf,
    },
    /// Records that were durable are damaged or gone. The replica may have acknowledged them and must not vote: it
    /// is to be replaced from its peers.
    #[error("the log is damaged: \"{}\" has no valid record {lsn} at offset {offset}, but {evidence}", segment.display())]
    Corrupt {
        /// The segment in which the log breaks off.
        segment: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// The first record that is missing.
        lsn: Lsn,
        /// What proves that it was there.
        evidence: String,
    },
    /// A newer version of Synod wrote this.
    #[error("\"{}\" was written by a newer version of Synod: at offset {offset} it has {found}", segment.display())]
    NewerVersion {
        /// The segment.
        segment: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is not known here.
        found: String,
    },
    /// The log belongs to another replica.
    #[error("\"{}\" belongs to member {found}, not to member {expected}", segment.display())]
    WrongMember {
        /// The segment.
        segment: PathBuf,
        /// Whose it is.
        found: MemberId,
        /// Whose it should be.
        expected: MemberId,
    },
    /// An entry does not follow the ones before it. Nothing was appended.
    #[error("entry {index} cannot be appended: entries from {first} to {last} can be")]
    OutOfOrder {
        /// The entry.
        index: LogIndex,
        /// The least index that can be appended.
        first: LogIndex,
        /// The greatest index that can be appended.
        last: LogIndex,
    },
    /// A snapshot mark lies before the one in force, or contradicts it. Nothing was appended.
    #[error("the log cannot restart at {mark}: it starts after {current}")]
    MarkBehind {
        /// The mark.
        mark: SnapshotMark,
        /// The one in force.
        current: SnapshotMark,
    },
    /// An entry does not fit into a segment. Nothing was appended.
    #[error("entry {index} of {payload_bytes} bytes does not fit: at most {payload_bytes_max} bytes do")]
    TooLarge {
        /// The entry.
        index: LogIndex,
        /// Its size.
        payload_bytes: u64,
        /// The greatest size.
        payload_bytes_max: u64,
    },
    /// No durable snapshot mark covers what is to be removed. Nothing was removed.
    #[error("entries up to {index} cannot be removed: the durable snapshot mark is {mark}")]
    NotCovered {
        /// Up to where.
        index: LogIndex,
        /// The mark that is durable.
        mark: SnapshotMark,
    },
    /// An option is out of bounds.
    #[error("segment_bytes is {segment_bytes}: it must be a multiple of 4096 from 16384 to 1073741824")]
    SegmentBytes {
        /// The value.
        segment_bytes: u64,
    },
}
