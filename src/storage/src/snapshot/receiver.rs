//! Taking a snapshot from a peer, chunk by chunk.

use std::path::Path;
use std::sync::Arc;

use super::error::{Result, SnapshotError};
use super::temporary::Temporary;
use super::{SnapshotFile, SnapshotId, SnapshotReader};
use crate::disk::{Disk, DiskFile};

/// After how many bytes a sync is due.
const SYNC_BYTES: u64 = 8 * 1_048_576;

/// Receives a snapshot. Dropping it before [`SnapshotReceiver::finish`] leaves nothing.
pub struct SnapshotReceiver {
    disk: Arc<dyn Disk>,
    id: SnapshotId,
    total_bytes: u64,
    received_bytes: u64,
    unsynced_bytes: u64,
    file: Box<dyn DiskFile>,
    temporary: Temporary,
}

impl SnapshotReceiver {
    pub(super) fn create(disk: &Arc<dyn Disk>, dir: &Path, id: SnapshotId, total_bytes: u64) -> Result<Self> {
        let (temporary, file) = Temporary::create(disk, dir, id, "receiving")?;
        Ok(Self {
            disk: Arc::clone(disk),
            id,
            total_bytes,
            received_bytes: 0,
            unsynced_bytes: 0,
            file,
            temporary,
        })
    }

    /// How much is here: where the next chunk must start.
    pub const fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`SnapshotError::OutOfPlace`] if it does not start where the last one ended, or goes beyond the announced end;
    /// it was not taken and the right one may follow. Those of the disk: the snapshot is to be given up.
    pub fn append(&mut self, offset: u64, chunk: &[u8]) -> Result<()> {
        let bytes = chunk.len() as u64;
        if offset != self.received_bytes || bytes > self.total_bytes - offset {
            return Err(SnapshotError::OutOfPlace {
                offset,
                bytes,
                expected: self.received_bytes,
                total: self.total_bytes,
            });
        }
        self.file.write_at(offset, chunk)?;
        self.received_bytes += bytes;
        self.unsynced_bytes += bytes;
        if self.unsynced_bytes >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// Checks all that was received and makes it a snapshot. It is durable on return.
    ///
    /// # Errors
    /// [`SnapshotError::Incomplete`], [`SnapshotError::WrongSnapshot`], [`SnapshotError::Damaged`],
    /// [`SnapshotError::NewerVersion`], and those of the disk. There is no new snapshot then, unless only the last
    /// sync of the directory failed: then there may be one.
    pub fn finish(self) -> Result<SnapshotFile> {
        if self.received_bytes < self.total_bytes {
            return Err(SnapshotError::Incomplete { received: self.received_bytes, total: self.total_bytes });
        }
        self.file.sync_data()?;
        let reader = SnapshotReader::open(&*self.disk, &self.temporary.path)?;
        let found = reader.meta().id;
        if found != self.id {
            return Err(SnapshotError::WrongSnapshot { found, expected: self.id });
        }
        reader.verify()?;
        let path = self.temporary.install(self.id)?;
        Ok(SnapshotFile { id: self.id, path, bytes: self.total_bytes })
    }
}
