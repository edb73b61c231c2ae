//! From the records of a log to what they leave.

use std::collections::VecDeque;

use synod_types::LogIndex;

use super::record::Meaning;
use super::{Entry, HardState, Recovered, SnapshotMark};

/// What the records read so far leave.
#[derive(Default)]
pub(super) struct Replay {
    hard_state: HardState,
    mark: SnapshotMark,
    /// Without a gap. May start behind the mark as long as a later mark is still to come: the segments between may
    /// have been removed because of it.
    entries: VecDeque<Entry>,
}

impl Replay {
    /// Applies a record, and returns the index of the entry in it, or 0. The error says what contradicts the log.
    pub(super) fn apply(&mut self, meaning: Meaning) -> Result<LogIndex, String> {
        match meaning {
            Meaning::Entry(entry) => return self.entry(entry),
            Meaning::HardState(state) => self.hard_state = state,
            Meaning::SnapshotMark { mark, keep_suffix } => self.restart(mark, keep_suffix),
            Meaning::Nothing => {}
        }
        Ok(LogIndex(0))
    }

    fn entry(&mut self, entry: Entry) -> Result<LogIndex, String> {
        let index = entry.index;
        while self.entries.back().is_some_and(|last| last.index >= index) {
            self.entries.pop_back();
        }
        let last = self.entries.back().map(|last| last.index);
        if last.is_some_and(|last| last.next() != index) || index <= self.mark.index {
            let last = last.unwrap_or(self.mark.index);
            return Err(format!(
                "a valid record there holds entry {index}, which does not follow entry {last}"
            ));
        }
        self.entries.push_back(entry);
        Ok(index)
    }

    fn restart(&mut self, mark: SnapshotMark, keep_suffix: bool) {
        self.mark = mark;
        if !keep_suffix {
            self.entries.clear();
        }
        while self.entries.front().is_some_and(|entry| entry.index <= mark.index) {
            self.entries.pop_front();
        }
    }

    /// What is left at the end. The error says what contradicts the log.
    pub(super) fn finish(mut self, torn_tail_bytes: u64) -> Result<Recovered, String> {
        let first = self.entries.front().map(|entry| entry.index);
        if let Some(first) = first.filter(|first| *first != self.mark.index.next()) {
            return Err(format!("the entries start at {first} and the snapshot mark is {}", self.mark));
        }
        // What a snapshot covers is committed. The hard state that says so comes after the mark and may be cut off.
        self.hard_state.commit = self.hard_state.commit.max(self.mark.index);
        Ok(Recovered {
            hard_state: self.hard_state,
            snapshot_mark: Some(self.mark).filter(|mark| *mark != SnapshotMark::default()),
            entries: self.entries.into(),
            torn_tail_bytes,
        })
    }
}
