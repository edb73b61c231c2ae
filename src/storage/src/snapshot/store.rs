//! The snapshots of one replica.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Result, SnapshotError};
use super::temporary;
use super::{SnapshotId, SnapshotMeta, SnapshotReader, SnapshotReceiver, SnapshotWriter};
use crate::disk::{Disk, remove_if_there};
use crate::state::StateSnapshot;

/// The size at which a block of records is written, in bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// The directory of a replica's snapshots. One at a time may use it.
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    block_bytes: usize,
}

/// The newest snapshot that is intact, and those after it that are not.
pub struct Newest {
    /// The newest intact snapshot, if there is one.
    pub reader: Option<SnapshotReader>,
    /// Newer ones, newest first, and what is wrong with each. The replica may go on from an older snapshot only if
    /// its log still reaches back to it.
    pub damaged: Vec<(SnapshotId, SnapshotError)>,
}

impl SnapshotStore {
    /// Opens a directory, creates it if need be, and removes what was left unfinished in it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        disk.create_dir_all(dir)?;
        for name in disk.list(dir)? {
            if name.ends_with(temporary::SUFFIX) {
                remove_if_there(&*disk, &dir.join(name))?;
            }
        }
        disk.sync_dir(dir)?;
        Ok(Self { disk, dir: dir.to_owned(), block_bytes: BLOCK_BYTES })
    }

    #[cfg(test)]
    pub(crate) fn with_block_bytes(mut self, block_bytes: usize) -> Self {
        self.block_bytes = block_bytes;
        self
    }

    /// All snapshots, newest first. They are not checked.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn list(&self) -> Result<Vec<SnapshotId>> {
        let names = self.disk.list(&self.dir)?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| SnapshotId::of_file(name)).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// Opens a snapshot without checking all of it.
    ///
    /// # Errors
    /// [`SnapshotError::WrongSnapshot`] if the file is another one than its name says, and as
    /// [`SnapshotReader::open`].
    pub fn reader(&self, id: SnapshotId) -> Result<SnapshotReader> {
        let reader = SnapshotReader::open(&*self.disk, &id.path(&self.dir))?;
        let found = reader.meta().id;
        if found != id {
            return Err(SnapshotError::WrongSnapshot { found, expected: id });
        }
        Ok(reader)
    }

    /// Reads snapshots, newest first, until one is intact.
    ///
    /// # Errors
    /// Those of the disk, if it cannot tell which snapshots there are.
    pub fn newest(&self) -> Result<Newest> {
        let mut damaged = Vec::new();
        for id in self.list()? {
            let checked = self.reader(id).and_then(|reader| reader.verify().map(|()| reader));
            match checked {
                Ok(reader) => {
                    let reader = Some(reader);
                    return Ok(Newest { reader, damaged });
                }
                Err(error) => damaged.push((id, error)),
            }
        }
        Ok(Newest { reader: None, damaged })
    }

    /// Starts to write the snapshot of a state. It replaces one with the same id when it is finished.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`] if the header is, and those of the disk.
    pub fn writer(&self, meta: &SnapshotMeta, state: Box<dyn StateSnapshot>) -> Result<SnapshotWriter> {
        SnapshotWriter::create(&self.disk, &self.dir, meta, state, self.block_bytes)
    }

    /// Starts to receive a snapshot of this many bytes from a peer.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn receiver(&self, id: SnapshotId, total_bytes: u64) -> Result<SnapshotReceiver> {
        SnapshotReceiver::create(&self.disk, &self.dir, id, total_bytes)
    }

    /// Removes all but the newest `keep` snapshots, durably. Call it when the newest is known to be intact and the
    /// log starts at it or before; keep two, so that there is another one if it gets damaged.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let ids = self.list()?;
        let old = ids.get(keep..).unwrap_or_default();
        for id in old {
            remove_if_there(&*self.disk, &id.path(&self.dir))?;
        }
        if !old.is_empty() {
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Removes one snapshot, durably; that there is none is fine.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn remove(&self, id: SnapshotId) -> Result<()> {
        remove_if_there(&*self.disk, &id.path(&self.dir))?;
        Ok(self.disk.sync_dir(&self.dir)?)
    }
}
