//! Files, behind the traits [`Disk`] and [`DiskFile`], so that a simulator can lose, tear and refuse what a real disk
//! loses, tears and refuses.
//!
//! - [`RealDisk`]: the file system of the machine.
//! - [`SimDisk`]: a disk in memory that fails as its seed says, and the same way every time.
//!
//! Invariants:
//! - Nothing in this crate touches a file but through these traits.
//! - A written byte is durable only after [`DiskFile::sync_data`] of its file; a name only after [`Disk::sync_dir`]
//!   of its directory. After a sync that failed nothing is known about what it covered, and syncing again proves
//!   nothing: the kernel may have dropped the data and forgotten the error.
//!
//! What must not go here: what the bytes mean.

mod error;
mod real;
mod sim;

pub use error::{DiskError, DiskErrorKind, Operation, Result};
pub use real::RealDisk;
pub use sim::{FaultRule, SimDisk, Trigger};

use std::path::Path;

/// The files that a process may use.
pub trait Disk: Send + Sync {
    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is none.
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Creates an empty file. Its name is durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// [`DiskErrorKind::Exists`] if there is one of that name.
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Gives a file another name in the same directory, and replaces what had that name. Atomic; durable after
    /// [`Disk::sync_dir`]. Open files stay open.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such file.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file. Durable after [`Disk::sync_dir`]. Open files stay readable.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such file.
    fn remove(&self, path: &Path) -> Result<()>;

    /// The names of everything in a directory, sorted. Names that are not UTF-8 are not ours and are left out.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such directory.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Creates a directory with all that lead to it, durably. Does nothing if it exists.
    ///
    /// # Errors
    /// When the file system refuses.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    ///
    /// # Errors
    /// When the names may not be durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Whether there is a file or directory of that name.
    ///
    /// # Errors
    /// When the file system cannot tell.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Takes the lock of a directory until the guard is dropped or the process ends. It does not keep others from
    /// using files: it keeps out those who ask for it too.
    ///
    /// # Errors
    /// [`DiskErrorKind::Locked`] if somebody holds it; it does not wait.
    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>>;
}

/// An open file. Dropping it closes it and syncs nothing.
pub trait DiskFile: Send + Sync {
    /// Reads into the whole of `buffer`, and returns how many bytes there were: fewer only at the end of the file.
    ///
    /// # Errors
    /// When anything of it cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Writes all bytes; the file grows as needed, and a gap reads as zeros.
    ///
    /// # Errors
    /// When not everything was written. Any part may have been.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes everything written so far durable, and the size with it (`fdatasync`).
    ///
    /// # Errors
    /// When anything may not be durable; see the [module](self) for what that means.
    fn sync_data(&self) -> Result<()>;

    /// The size in bytes.
    ///
    /// # Errors
    /// When the file system cannot tell.
    fn size(&self) -> Result<u64>;
}

/// Holds the lock of a directory until it is dropped.
pub trait DirLock: Send + Sync {}

/// Replaces the file `name` in `dir`: whoever reads it after a crash finds all of the old or all of the new bytes.
/// Durable on return.
///
/// # Errors
/// Any failure; the old or the new file is there.
pub fn replace_file(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    remove_if_there(disk, &temporary)?;
    let file = disk.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    disk.rename(&temporary, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Removes a file; that there is none is fine.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// All bytes of a file.
pub(crate) fn read_all(file: &dyn DiskFile, into: &mut Vec<u8>) -> Result<()> {
    let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
    into.clear();
    into.resize(size, 0);
    let read = file.read_at(0, into)?;
    into.truncate(read);
    Ok(())
}
