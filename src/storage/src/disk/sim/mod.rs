//! A disk in memory that loses, tears and refuses what its seed says.
//!
//! What it does to a program:
//! - A crash loses what was not synced: each sector of 512 bytes by itself survives, vanishes or is torn, and each
//!   directory keeps only some first part of its changes.
//! - Any operation can be made to fail, the n-th one or by chance. A write that fails has written some of it. A sync
//!   that fails has dropped the data for good, while reads still show it and the next sync succeeds, as on Linux.
//! - There is an end of the space, if one is set.
//!
//! Everything is drawn from the seed, and nothing from a clock: the same calls give the same disk.

mod content;
mod faults;
mod handle;
mod names;
mod random;
#[cfg(test)]
mod tests;

pub use faults::{FaultRule, Trigger};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::Content;
use faults::Faults;
use handle::{SimFile, SimLock};
use names::{FileId, Names};
use random::SplitMix64;

use super::{DirLock, Disk, DiskError, DiskErrorKind, DiskFile, Operation, Result};

/// A simulated disk. Clones share it.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: SplitMix64,
    /// Grows when the process that uses the disk ends: what it had open is dead.
    process: u64,
    names: Names,
    files: BTreeMap<FileId, Content>,
    open: BTreeMap<FileId, u64>,
    next_file: FileId,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    capacity_bytes: Option<u64>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk with the root directory `/`.
    pub fn new(seed: u64) -> Self {
        let mut names = Names::default();
        names.create_dir_all(Path::new("/"));
        let state = State {
            random: SplitMix64::new(seed),
            process: 0,
            names,
            files: BTreeMap::new(),
            open: BTreeMap::new(),
            next_file: 1,
            locks: BTreeSet::new(),
            faults: Faults::default(),
            capacity_bytes: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The power goes and comes back: what was not synced is lost as the module says, locks are free, and everything
    /// that was open answers with an error from now on.
    pub fn crash(&self) {
        let state = &mut *lock(&self.state);
        state.end_process();
        state.names.crash(&mut state.random);
        for content in state.files.values_mut() {
            content.crash(&mut state.random);
        }
        state.collect();
        state.faults.power_on();
    }

    /// The process ends and the machine goes on: nothing is lost, locks are free, and everything that was open
    /// answers with an error from now on.
    pub fn kill(&self) {
        let state = &mut *lock(&self.state);
        state.end_process();
        state.faults.power_on();
    }

    /// Another disk with the same files, as the next process would find them. It shares nothing with this one, and no
    /// rule is in force on it.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = &*lock(&self.state);
        let state = State {
            random: state.random.clone(),
            process: 0,
            names: state.names.clone(),
            files: state.files.clone(),
            open: BTreeMap::new(),
            next_file: state.next_file,
            locks: BTreeSet::new(),
            faults: Faults::default(),
            capacity_bytes: state.capacity_bytes,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Whether a crash would leave a directory and the files in it as programs see them.
    pub fn is_synced(&self, dir: &Path) -> bool {
        let state = &*lock(&self.state);
        let is_synced = |id: FileId| state.files.get(&id).is_none_or(Content::is_synced);
        state.names.settled(dir).is_some_and(|mut files| files.all(is_synced))
    }

    /// After this many further changes (creations, writes, syncs, renames, removals) every operation fails, until
    /// [`SimDisk::crash`] or, if it is only the process that stops, [`SimDisk::kill`].
    pub fn power_off_after(&self, changes: u64) {
        lock(&self.state).faults.power_off_after(changes);
    }

    /// Whether [`SimDisk::power_off_after`] has come into force.
    pub fn is_off(&self) -> bool {
        lock(&self.state).faults.has_no_power()
    }

    /// How many changes were made so far.
    pub fn changes(&self) -> u64 {
        lock(&self.state).faults.changes()
    }

    /// How often an operation was asked for, failures included.
    pub fn count(&self, operation: Operation) -> u64 {
        lock(&self.state).faults.count(operation)
    }

    /// How often a rule made an operation fail.
    pub fn failures(&self, operation: Operation) -> u64 {
        lock(&self.state).faults.failures(operation)
    }

    /// Adds a rule.
    pub fn inject(&self, rule: FaultRule) {
        lock(&self.state).faults.inject(rule);
    }

    /// Makes the n-th such operation from now on fail, on any path; 1 is the next one.
    pub fn fail_nth(&self, operation: Operation, n: u64, kind: DiskErrorKind) {
        self.inject(FaultRule { operation, below: None, kind, trigger: Trigger::Nth(n) });
    }

    /// Drops all rules.
    pub fn clear_faults(&self) {
        lock(&self.state).faults.clear();
    }

    /// Sets the space for all files together; none is no limit.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        lock(&self.state).capacity_bytes = capacity_bytes;
    }

    /// Flips bit `bit` (0 to 7) of a byte of a file, durably.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> Result<()> {
        let mut state = lock(&self.state);
        let flipped = state.content(path).is_some_and(|content| content.flip_bit(to_usize(offset), bit));
        flipped.then_some(()).ok_or_else(|| absent(Operation::Write, path))
    }

    /// Cuts a file, durably.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such file.
    pub fn truncate(&self, path: &Path, size: u64) -> Result<()> {
        let mut state = lock(&self.state);
        let content = state.content(path);
        let content = content.ok_or_else(|| absent(Operation::Write, path))?;
        content.truncate(to_usize(size));
        Ok(())
    }

    /// Replaces or creates a file, durably, as somebody would who meddles with the disk.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such directory.
    pub fn plant(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let state = &mut *lock(&self.state);
        let id = state.next_file;
        state.next_file += 1;
        if !state.names.link(path, id) {
            return Err(absent(Operation::Create, path));
        }
        let content = state.files.entry(id).or_default();
        content.write(0, bytes);
        content.sync();
        if let Some(dir) = path.parent() {
            state.names.sync(dir);
        }
        Ok(())
    }

    /// The bytes of a file as programs read them.
    ///
    /// # Errors
    /// [`DiskErrorKind::NotFound`] if there is no such file.
    pub fn contents(&self, path: &Path) -> Result<Vec<u8>> {
        let mut state = lock(&self.state);
        let content = state.content(path).map(|content| content.bytes().to_vec());
        content.ok_or_else(|| absent(Operation::Read, path))
    }

    /// Begins an operation on a path: counts it, and fails if a rule says so.
    fn begin(&self, operation: Operation, path: &Path) -> Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        state.begin(operation, path)?;
        Ok(state)
    }

    fn handle(&self, state: &mut State, id: FileId, path: &Path) -> Box<dyn DiskFile> {
        *state.open.entry(id).or_default() += 1;
        Box::new(SimFile::new(&self.state, state.process, id, path))
    }
}

impl State {
    fn begin(&mut self, operation: Operation, path: &Path) -> Result<()> {
        if self.faults.is_off(operation) {
            return Err(fault(operation, path, DiskErrorKind::Io, "the power is off"));
        }
        match self.faults.strike(operation, path, &mut self.random) {
            Some(kind) => Err(fault(operation, path, kind, "injected")),
            None => Ok(()),
        }
    }

    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        self.files.get_mut(&self.names.file(path)?)
    }

    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        self.open.clear();
        self.collect();
    }

    /// Forgets files that nobody can reach any more.
    fn collect(&mut self) {
        let reachable: BTreeSet<FileId> = self.names.reachable().collect();
        let open = &self.open;
        self.files.retain(|id, _| reachable.contains(id) || open.contains_key(id));
    }

    /// Whether a file may grow to this size.
    fn has_space(&self, id: FileId, size: usize) -> bool {
        let Some(capacity) = self.capacity_bytes else {
            return true;
        };
        let now = self.files.get(&id).map_or(0, Content::len);
        let used: usize = self.names.named().filter_map(|id| self.files.get(&id)).map(Content::len).sum();
        size <= now || (used + (size - now)) as u64 <= capacity
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn fault(operation: Operation, path: &Path, kind: DiskErrorKind, detail: &str) -> DiskError {
    DiskError::new(operation, path, kind, detail)
}

fn absent(operation: Operation, path: &Path) -> DiskError {
    fault(operation, path, DiskErrorKind::NotFound, "there is none")
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let mut state = self.begin(Operation::Open, path)?;
        let id = state.names.file(path);
        let id = id.ok_or_else(|| absent(Operation::Open, path))?;
        Ok(self.handle(&mut state, id, path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let mut state = self.begin(Operation::Create, path)?;
        if state.names.file(path).is_some() || state.names.has_dir(path) {
            let kind = DiskErrorKind::Exists;
            return Err(fault(Operation::Create, path, kind, "it exists"));
        }
        let id = state.next_file;
        if !state.names.link(path, id) {
            return Err(absent(Operation::Create, path));
        }
        state.next_file += 1;
        state.files.insert(id, Content::default());
        Ok(self.handle(&mut state, id, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.begin(Operation::Rename, from)?;
        if state.names.file(from).is_none() || !state.names.rename(from, to) {
            return Err(absent(Operation::Rename, from));
        }
        state.collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(Operation::Remove, path)?;
        if state.names.file(path).is_none() || !state.names.unlink(path) {
            return Err(absent(Operation::Remove, path));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let state = self.begin(Operation::List, dir)?;
        state.names.list(dir).ok_or_else(|| absent(Operation::List, dir))
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let mut state = self.begin(Operation::CreateDir, dir)?;
        state.names.create_dir_all(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut state = self.begin(Operation::SyncDir, dir)?;
        if !state.names.has_dir(dir) {
            return Err(absent(Operation::SyncDir, dir));
        }
        state.names.sync(dir);
        state.collect();
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let state = self.begin(Operation::Open, path)?;
        Ok(state.names.file(path).is_some() || state.names.has_dir(path))
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let mut state = self.begin(Operation::Lock, dir)?;
        if !state.names.has_dir(dir) {
            return Err(absent(Operation::Lock, dir));
        }
        if !state.locks.insert(dir.to_owned()) {
            let kind = DiskErrorKind::Locked;
            return Err(fault(Operation::Lock, dir, kind, "another process uses it"));
        }
        Ok(Box::new(SimLock::new(&self.state, state.process, dir)))
    }
}
