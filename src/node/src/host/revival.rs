//! Replicas that have stopped because their disk is full start again once there is room.
//!
//! What is on the disk is opened as after a crash of the process: nothing that was acknowledged is missing, and nothing is
//! taken for written that was not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::statvfs;

use super::Host;
use crate::slot::Slot;

/// How often it is looked whether there is room.
const PAUSE: Duration = Duration::from_secs(2);

/// How many segments of a log must have room: the one that is written next, and the one that is prepared meanwhile.
const SEGMENTS: u64 = 2;

impl Host {
    /// Looks after replicas that have stalled. Never ends.
    pub(crate) async fn revive(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PAUSE).await;
            for slot in self.slots() {
                if slot.is_stalled()
                    && has_room(&self.config.data_dir, SEGMENTS * self.config.wal_segment_bytes)
                {
                    let host = self.clone();
                    if tokio::task::spawn_blocking(move || host.reopen(&slot)).await.is_err() {
                        tracing::error!("a replica could not be started again");
                    }
                }
            }
        }
    }

    fn reopen(self: &Arc<Self>, slot: &Arc<Slot>) {
        let Ok(_birth) = self.birth(slot) else { return };
        if !slot.is_stalled() {
            return;
        }
        tracing::info!(replica = slot.name(), "there is room on the disk: the replica starts again");
        slot.stop();
        self.open(slot);
    }
}

/// Where it cannot be told, it is tried.
fn has_room(dir: &Path, bytes: u64) -> bool {
    statvfs(dir).map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use synod_storage::disk::{DiskError, DiskErrorKind, Operation};
    use synod_storage::wal::WalError;
    use synod_types::{Error, ErrorCode};

    use crate::home::HomeError;

    #[test]
    fn a_full_disk_is_told_from_one_that_failed() {
        let disk = |operation, kind| DiskError::new(operation, Path::new("/log"), kind, "why");
        for (operation, kind, expected) in [
            (Operation::Write, DiskErrorKind::NoSpace, ErrorCode::ResourceExhausted),
            (Operation::Create, DiskErrorKind::NoSpace, ErrorCode::ResourceExhausted),
            (Operation::SyncData, DiskErrorKind::NoSpace, ErrorCode::Corrupt),
            (Operation::SyncDir, DiskErrorKind::NoSpace, ErrorCode::Corrupt),
            (Operation::Write, DiskErrorKind::Io, ErrorCode::Corrupt),
        ] {
            let cause = disk(operation, kind);
            for error in [WalError::Disk(cause.clone()), WalError::Poisoned { cause }] {
                assert_eq!(Error::from(HomeError::Log(error)).code(), expected, "{operation} {kind:?}");
            }
        }
    }
}
