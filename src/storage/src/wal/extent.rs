//! Which entries the log holds, without their payloads: what can be appended next, and what a snapshot mark leaves.

use std::collections::VecDeque;

use synod_types::{LogIndex, Term};

use super::error::{Result, WalError};
use super::{Batch, Entry, SnapshotMark};

/// The entries from `mark.index + 1` to `last`.
#[derive(Clone, Debug, Default)]
pub(super) struct Extent {
    mark: SnapshotMark,
    last: LogIndex,
    /// Where the term changes: the first index of each run of entries of one term.
    runs: VecDeque<(LogIndex, Term)>,
}

impl Extent {
    /// The extent of the entries after a mark, which follow it without a gap.
    pub(super) fn of(mark: SnapshotMark, entries: &[Entry]) -> Self {
        let mut extent = Self { mark, last: mark.index, runs: VecDeque::new() };
        for entry in entries {
            extent.push(entry.index, entry.term);
        }
        extent
    }

    pub(super) const fn mark(&self) -> SnapshotMark {
        self.mark
    }

    /// Whether a batch can be appended.
    pub(super) fn check(&self, batch: &Batch<'_>, payload_bytes_max: u64) -> Result<()> {
        let (mut mark, mut last) = (self.mark, self.last);
        if let Some(new) = batch.snapshot_mark {
            if new.index < mark.index || (new.index == mark.index && new.term != mark.term) {
                return Err(WalError::MarkBehind { mark: new, current: mark });
            }
            if !self.keeps_suffix(new) {
                last = new.index;
            }
            mark = new;
        }
        for entry in batch.entries {
            if entry.index <= mark.index || entry.index > last.next() {
                return Err(WalError::OutOfOrder {
                    index: entry.index,
                    first: mark.index.next(),
                    last: last.next(),
                });
            }
            if entry.payload.len() as u64 > payload_bytes_max {
                return Err(WalError::TooLarge {
                    index: entry.index,
                    payload_bytes: entry.payload.len() as u64,
                    payload_bytes_max,
                });
            }
            last = entry.index;
        }
        Ok(())
    }

    /// Appends an entry; those from its index on are gone.
    pub(super) fn push(&mut self, index: LogIndex, term: Term) {
        while self.runs.back().is_some_and(|(first, _)| *first >= index) {
            self.runs.pop_back();
        }
        if self.runs.back().is_none_or(|(_, last)| *last != term) {
            self.runs.push_back((index, term));
        }
        self.last = index;
    }

    /// Whether the entries behind a mark go on from it. If not, they belong to a history that lost.
    pub(super) fn keeps_suffix(&self, mark: SnapshotMark) -> bool {
        mark == self.mark || self.term_at(mark.index) == Some(mark.term)
    }

    /// Restarts the log after a mark.
    pub(super) fn restart(&mut self, mark: SnapshotMark) {
        if self.keeps_suffix(mark) {
            // The run that holds the mark is kept: it may hold entries behind it, too.
            while self.runs.get(1).is_some_and(|(first, _)| *first <= mark.index) {
                self.runs.pop_front();
            }
        } else {
            self.runs.clear();
            self.last = mark.index;
        }
        self.mark = mark;
    }

    fn term_at(&self, index: LogIndex) -> Option<Term> {
        let held = index > self.mark.index && index <= self.last;
        let after = self.runs.partition_point(|(first, _)| *first <= index);
        let run = self.runs.get(after.checked_sub(1)?)?;
        held.then_some(run.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(index: u64, term: u64) -> SnapshotMark {
        SnapshotMark { index: LogIndex(index), term: Term(term) }
    }

    #[test]
    fn a_mark_with_another_term_drops_the_suffix() {
        let mut extent = Extent::default();
        for (index, term) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            extent.push(LogIndex(index), Term(term));
        }
        assert!(extent.keeps_suffix(mark(3, 2)));
        assert!(!extent.keeps_suffix(mark(3, 1)));
        assert!(!extent.keeps_suffix(mark(5, 2)));
        extent.restart(mark(2, 1));
        assert_eq!(extent.term_at(LogIndex(3)), Some(Term(2)));
        extent.restart(mark(3, 3));
        assert_eq!((extent.last, extent.term_at(LogIndex(4))), (LogIndex(3), None));
    }

    proptest! {
        #[test]
        fn it_knows_every_term(steps in prop::collection::vec((0u64..8, 0u64..3, any::<bool>()), 0..60)) {
            let mut extent = Extent::default();
            let mut model: Vec<u64> = Vec::new();
            for (back, term, restart) in steps {
                let last = extent.last.get();
                let floor = extent.mark.index.get();
                if restart && last > floor {
                    let index = last.saturating_sub(back).max(floor + 1);
                    extent.restart(mark(index, model[index as usize - 1]));
                } else {
                    let index = (last + 1).saturating_sub(back).max(floor + 1);
                    model.truncate(index as usize - 1);
                    model.push(term);
                    extent.push(LogIndex(index), Term(term));
                }
                for index in extent.mark.index.get() + 1..=extent.last.get() {
                    prop_assert_eq!(extent.term_at(LogIndex(index)), Some(Term(model[index as usize - 1])));
                }
                prop_assert_eq!(extent.last.get(), model.len() as u64);
            }
        }
    }
}
