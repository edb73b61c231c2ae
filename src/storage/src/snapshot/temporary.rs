//! A file on its way to becoming a snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SnapshotId;
use crate::disk::{Disk, DiskFile, Result, remove_if_there};

/// The end of the names of files that are not snapshots yet.
pub(super) const SUFFIX: &str = ".tmp";

/// A file under a temporary name. It is removed when this is dropped before it is installed.
pub(super) struct Temporary {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pub(super) path: PathBuf,
    installed: bool,
}

impl Temporary {
    /// Creates the file; `purpose` keeps one that is written from one that is received.
    pub(super) fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: SnapshotId,
        purpose: &str,
    ) -> Result<(Self, Box<dyn DiskFile>)> {
        let path = dir.join(format!("{}.{purpose}{SUFFIX}", id.file_name()));
        remove_if_there(&**disk, &path)?;
        let file = disk.create(&path)?;
        let temporary = Self { disk: Arc::clone(disk), dir: dir.to_owned(), path, installed: false };
        Ok((temporary, file))
    }

    /// Gives the file, which is durable, its name, durably. Returns its path.
    pub(super) fn install(mut self, id: SnapshotId) -> Result<PathBuf> {
        let path = id.path(&self.dir);
        self.disk.rename(&self.path, &path)?;
        self.installed = true;
        self.disk.sync_dir(&self.dir)?;
        Ok(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.installed {
            // What stays behind is removed when the store is opened the next time.
            let _ = self.disk.remove(&self.path);
        }
    }
}
