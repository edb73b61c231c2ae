//! The files of a log: the one that is written, and those that will be.
//!
//! Invariants:
//! - A segment is written only after everything in the one before it is durable. So a segment in use proves that all
//!   earlier ones are complete.
//! - A file gets its place as the next segment (its name, durably) before it is used, filled and durable: beginning a
//!   segment costs no other sync than the one for its records.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::segment::{self, PREPARING};
use crate::disk::{Disk, DiskFile, Result, remove_if_there};

/// How much is filled at once when a segment is needed and none is ready, in bytes.
const FILL_BYTES: u64 = 4 * 1_048_576;

/// A file that is ready to become a segment.
pub(super) struct Spare {
    pub(super) sequence: u64,
    pub(super) file: Box<dyn DiskFile>,
}

/// A file that is being filled with zeros.
struct Filling {
    file: Box<dyn DiskFile>,
    filled: u64,
}

pub(super) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The size of new segments.
    segment_bytes: u64,
    spares_max: usize,
    /// The segment that is written.
    sequence: u64,
    file: Box<dyn DiskFile>,
    dirty: bool,
    /// The segments that follow, without a gap.
    spares: VecDeque<Spare>,
    filling: Option<Filling>,
}

impl SegmentFiles {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes: u64,
        spares_max: usize,
        current: Spare,
        spares: VecDeque<Spare>,
    ) -> Self {
        Self {
            disk,
            dir,
            segment_bytes,
            spares_max,
            sequence: current.sequence,
            file: current.file,
            dirty: false,
            spares,
            filling: None,
        }
    }

    /// Writes to a segment: the one written last, or the next one, which begins with it.
    pub(super) fn write(&mut self, sequence: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        if sequence != self.sequence {
            self.advance()?;
        }
        self.dirty = true;
        self.file.write_at(offset, bytes)
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.dirty {
            self.file.sync_data()?;
            self.dirty = false;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.sync()?;
        while self.spares.is_empty() {
            if self.fill(FILL_BYTES)? {
                self.publish()?;
            }
        }
        if let Some(spare) = self.spares.pop_front() {
            self.sequence = spare.sequence;
            self.file = spare.file;
        }
        Ok(())
    }

    pub(super) fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Fills at most this many more bytes of the next spare, durably. True when it is full.
    ///
    /// An error spoils only that file: it is given up, and the next call starts another one.
    pub(super) fn fill(&mut self, bytes_max: u64) -> Result<bool> {
        let mut filling = match self.filling.take() {
            Some(filling) => filling,
            None => {
                let path = self.dir.join(PREPARING);
                remove_if_there(&*self.disk, &path)?;
                let file = self.disk.create(&path)?;
                Filling { file, filled: 0 }
            }
        };
        zero_fill(&*filling.file, &mut filling.filled, self.segment_bytes, bytes_max)?;
        let full = filling.filled == self.segment_bytes;
        self.filling = Some(filling);
        Ok(full)
    }

    /// Makes the filled file the last spare. After an error its name is in doubt, and the log with it.
    pub(super) fn publish(&mut self) -> Result<()> {
        let Some(filling) = self.filling.take() else {
            return Ok(());
        };
        let sequence = self.next_sequence();
        let path = segment::path(&self.dir, sequence);
        self.disk.rename(&self.dir.join(PREPARING), &path)?;
        self.disk.sync_dir(&self.dir)?;
        let file = filling.file;
        self.spares.push_back(Spare { sequence, file });
        Ok(())
    }

    /// Takes a segment out of the log, durably: it becomes a spare, or is removed if there are enough.
    pub(super) fn retire(&mut self, sequence: u64, size: u64) -> Result<()> {
        let path = segment::path(&self.dir, sequence);
        if size != self.segment_bytes || self.spares.len() >= self.spares_max {
            self.disk.remove(&path)?;
            return self.disk.sync_dir(&self.dir);
        }
        let sequence = self.next_sequence();
        let next_path = segment::path(&self.dir, sequence);
        self.disk.rename(&path, &next_path)?;
        self.disk.sync_dir(&self.dir)?;
        let file = self.disk.open(&next_path)?;
        self.spares.push_back(Spare { sequence, file });
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.spares.back().map_or(self.sequence, |spare| spare.sequence) + 1
    }
}

/// Writes zeros from `filled` on, up to `size` and at most `bytes_max` of them, and makes them durable.
pub(super) fn zero_fill(file: &dyn DiskFile, filled: &mut u64, size: u64, bytes_max: u64) -> Result<()> {
    static ZEROS: [u8; 65_536] = [0; 65_536];
    let end = size.min(filled.saturating_add(bytes_max.max(1)));
    while *filled < end {
        let count = (end - *filled).min(ZEROS.len() as u64);
        file.write_at(*filled, ZEROS.get(..count as usize).unwrap_or_default())?;
        *filled += count;
    }
    file.sync_data()
}
