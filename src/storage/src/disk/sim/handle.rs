//! What programs hold of the simulated disk: open files and locks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::content::{Content, SECTOR_BYTES};
use super::names::FileId;
use super::random::SplitMix64;
use super::{State, fault, lock, to_usize};
use crate::disk::{DirLock, DiskErrorKind, DiskFile, Operation, Result};

/// An open file.
pub(super) struct SimFile {
    state: Arc<Mutex<State>>,
    id: FileId,
    process: u64,
    path: PathBuf,
}

/// A held lock.
pub(super) struct SimLock {
    state: Arc<Mutex<State>>,
    process: u64,
    dir: PathBuf,
}

impl SimLock {
    pub(super) fn new(state: &Arc<Mutex<State>>, process: u64, dir: &Path) -> Self {
        Self { state: Arc::clone(state), process, dir: dir.to_owned() }
    }
}

impl SimFile {
    pub(super) fn new(state: &Arc<Mutex<State>>, process: u64, id: FileId, path: &Path) -> Self {
        Self { state: Arc::clone(state), id, process, path: path.to_owned() }
    }

    /// Begins an operation; a rule that strikes hits the content as `damage` says.
    fn begin(
        &self,
        operation: Operation,
        damage: impl FnOnce(&mut Content, &mut SplitMix64),
    ) -> Result<MutexGuard<'_, State>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.process != self.process {
            let kind = DiskErrorKind::Io;
            return Err(fault(operation, &self.path, kind, "the process that opened it is gone"));
        }
        if state.faults.is_off(operation) {
            return Err(fault(operation, &self.path, DiskErrorKind::Io, "the power is off"));
        }
        if let Some(kind) = state.faults.strike(operation, &self.path, &mut state.random) {
            if let Some(content) = state.files.get_mut(&self.id) {
                damage(content, &mut state.random);
            }
            return Err(fault(operation, &self.path, kind, "injected"));
        }
        Ok(guard)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let state = self.begin(Operation::Read, |_, _| {})?;
        let bytes = state.files.get(&self.id).map_or(&[][..], Content::bytes);
        let bytes = bytes.get(to_usize(offset)..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let offset = to_usize(offset);
        let write_some = |content: &mut Content, random: &mut SplitMix64| {
            let sectors = random.below((bytes.len() / SECTOR_BYTES) as u64 + 1);
            let some = bytes.get(..to_usize(sectors) * SECTOR_BYTES);
            let inside = content.len().saturating_sub(offset);
            let some = some.map(|some| some.get(..inside).unwrap_or(some));
            content.write(offset, some.unwrap_or_default());
        };
        let mut state = self.begin(Operation::Write, write_some)?;
        let full = !state.has_space(self.id, offset.saturating_add(bytes.len()));
        if full {
            let kind = DiskErrorKind::NoSpace;
            return Err(fault(Operation::Write, &self.path, kind, "the disk is full"));
        }
        if let Some(content) = state.files.get_mut(&self.id) {
            content.write(offset, bytes);
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.begin(Operation::SyncData, Content::fail_sync)?;
        if let Some(content) = state.files.get_mut(&self.id) {
            content.sync();
        }
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        let state = self.begin(Operation::Size, |_, _| {})?;
        Ok(state.files.get(&self.id).map_or(0, Content::len) as u64)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.process != self.process {
            return;
        }
        if let Some(count) = state.open.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                state.open.remove(&self.id);
                state.collect();
            }
        }
    }
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.process == self.process {
            state.locks.remove(&self.dir);
        }
    }
}
