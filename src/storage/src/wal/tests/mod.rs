//! The log against a model of it, on disks that fail.

mod crash;
mod damage;
mod refuse;
mod segments;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::disk::{Disk, SimDisk};

const DIR: &str = "/wal";
const MEMBER: MemberId = MemberId(7);
const SALT: u64 = 0x5a17;

fn options() -> WalOptions {
    WalOptions { segment_bytes: 16_384, ..WalOptions::new(MEMBER) }
}

fn arc(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn create(disk: &SimDisk) -> Wal {
    Wal::create(arc(disk), Path::new(DIR), SALT, options()).unwrap()
}

fn try_open(disk: &SimDisk) -> Result<(Wal, Recovered)> {
    Wal::open(arc(disk), Path::new(DIR), options())
}

fn open(disk: &SimDisk) -> (Wal, Recovered) {
    try_open(disk).unwrap()
}

fn segment_path(sequence: u64) -> PathBuf {
    segment::path(Path::new(DIR), sequence)
}

fn entry(index: u64, term: u64, payload_bytes: usize) -> Entry {
    // Every entry is told from every other by its bytes.
    let seed = (index << 20) ^ (term << 8) ^ payload_bytes as u64;
    let bytes = (0..payload_bytes).map(|at| (seed.wrapping_mul(at as u64 * 2 + 1) >> 5) as u8);
    Entry {
        term: Term(term),
        index: LogIndex(index),
        kind: if index.is_multiple_of(5) { EntryKind::Membership } else { EntryKind::Normal },
        payload: bytes.collect(),
    }
}

fn hard_state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term: Term(term), vote: MemberId(vote), commit: LogIndex(commit) }
}

fn mark(index: u64, term: u64) -> SnapshotMark {
    SnapshotMark { index: LogIndex(index), term: Term(term) }
}

fn append(wal: &mut Wal, entries: &[Entry]) -> Result<Lsn> {
    wal.append(&Batch { entries, ..Batch::default() })
}

/// Appends entries of one term and size, `from` to `to`, each as a group of its own.
fn append_groups(wal: &mut Wal, from: u64, to: u64, payload_bytes: usize) {
    for index in from..=to {
        append(wal, &[entry(index, 1, payload_bytes)]).unwrap();
        wal.sync().unwrap();
    }
}

/// What a log would return if it were opened.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    hard_state: HardState,
    mark: SnapshotMark,
    entries: Vec<Entry>,
}

impl State {
    fn of(recovered: &Recovered) -> Self {
        Self {
            hard_state: recovered.hard_state,
            mark: recovered.snapshot_mark.unwrap_or_default(),
            entries: recovered.entries.clone(),
        }
    }

    fn first(&self) -> u64 {
        self.mark.index.get() + 1
    }

    fn last(&self) -> u64 {
        self.mark.index.get() + self.entries.len() as u64
    }

    fn term_at(&self, index: u64) -> Option<Term> {
        let at = index.checked_sub(self.first())?;
        self.entries.get(at as usize).map(|entry| entry.term)
    }

    fn push(&mut self, entry: &Entry) {
        self.entries.retain(|kept| kept.index < entry.index);
        self.entries.push(entry.clone());
    }

    fn restart(&mut self, mark: SnapshotMark) {
        let continues = mark == self.mark || self.term_at(mark.index.get()) == Some(mark.term);
        self.entries.retain(|entry| continues && entry.index > mark.index);
        self.mark = mark;
        self.hard_state.commit = self.hard_state.commit.max(mark.index);
    }

    fn set(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
        self.hard_state.commit = hard_state.commit.max(self.mark.index);
    }
}

/// Every state that the log went through, record by record.
#[derive(Clone, Debug)]
struct Model {
    states: Vec<State>,
    /// The first of them that a crash may leave.
    synced: usize,
}

impl Model {
    fn new(state: State) -> Self {
        Self { states: vec![state], synced: 0 }
    }

    fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    fn append(&mut self, batch: &Batch<'_>) {
        let mut state = self.last().clone();
        if let Some(mark) = batch.snapshot_mark {
            state.restart(mark);
            self.states.push(state.clone());
        }
        for entry in batch.entries {
            state.push(entry);
            self.states.push(state.clone());
        }
        if let Some(hard_state) = batch.hard_state {
            state.set(hard_state);
            self.states.push(state);
        }
    }

    fn sync(&mut self) {
        self.synced = self.states.len() - 1;
    }

    /// Panics unless a crash may have left this, and goes on from it.
    fn check(&mut self, recovered: &Recovered) {
        let state = State::of(recovered);
        let possible = &self.states[self.synced..];
        assert!(possible.contains(&state), "found {state:?}\nnone of {possible:?}");
        *self = Self::new(state);
    }
}
