//! What can go wrong between a program and its files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result whose error is [`DiskError`].
pub type Result<T, E = DiskError> = std::result::Result<T, E>;

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opening a file that exists.
    Open,
    /// Creating a file that does not.
    Create,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Making a file's data durable.
    SyncData,
    /// Asking for the size of a file.
    Size,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing a directory.
    List,
    /// Creating directories.
    CreateDir,
    /// Making the names in a directory durable.
    SyncDir,
    /// Taking the lock of a directory.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::SyncData => "sync",
            Self::Size => "get the size of",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
            Self::CreateDir => "create directory",
            Self::SyncDir => "sync directory",
            Self::Lock => "lock directory",
        })
    }
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// A file of that name exists.
    Exists,
    /// The disk, or the quota, is full.
    NoSpace,
    /// Another process holds the lock of the directory.
    Locked,
    /// Anything else.
    Io,
}

/// A failed access: what was attempted, where, and what the system said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation} \"{}\": {detail}", path.display())]
pub struct DiskError {
    /// What was attempted.
    pub operation: Operation,
    /// On which file or directory.
    pub path: PathBuf,
    /// The kind of failure, for decisions.
    pub kind: DiskErrorKind,
    /// The system's own words, for people.
    pub detail: String,
}

impl DiskError {
    /// An error of this kind.
    pub fn new(operation: Operation, path: &Path, kind: DiskErrorKind, detail: impl Into<String>) -> Self {
        Self { operation, path: path.to_owned(), kind, detail: detail.into() }
    }

    /// What the system reported.
    pub(super) fn from_io(operation: Operation, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => DiskErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
            _ => DiskErrorKind::Io,
        };
        Self::new(operation, path, kind, error.to_string())
    }
}
