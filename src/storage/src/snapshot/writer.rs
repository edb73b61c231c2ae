//! Writing a snapshot, step by step.

use std::path::Path;
use std::sync::Arc;

use super::block::{BlockKind, BlockWriter, Footer};
use super::error::{Result, SnapshotError};
use super::temporary::Temporary;
use super::{SECTION_FIRST, SnapshotFile, SnapshotId, SnapshotMeta};
use crate::disk::Disk;
use crate::state::{Blob, KeyRange, StateSnapshot, Table};

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// All of the state is written.
    Done,
}

/// Writes the snapshot of a state. Dropping it before [`SnapshotWriter::finish`] leaves nothing.
pub struct SnapshotWriter {
    id: SnapshotId,
    state: Box<dyn StateSnapshot>,
    blocks: BlockWriter,
    temporary: Temporary,
    footer: Footer,
    /// The tables that are still to be written, and the last key that is written of the first of them.
    tables: &'static [Table],
    last_key: Option<Blob>,
}

/// The tables in the order in which they are written.
static TABLES: [Table; Table::ALL.len()] = Table::ALL;

impl SnapshotWriter {
    pub(super) fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        meta: &SnapshotMeta,
        state: Box<dyn StateSnapshot>,
        block_bytes: usize,
    ) -> Result<Self> {
        let bytes = meta.header.len() as u64;
        u32::try_from(bytes + 16).map_err(|_| SnapshotError::TooLarge { bytes })?;
        let (temporary, file) = Temporary::create(disk, dir, meta.id, "writing")?;
        let mut blocks = BlockWriter::start(file, block_bytes)?;
        let id = meta.id;
        let start = [id.index.get().to_le_bytes(), id.term.get().to_le_bytes()].concat();
        blocks.write(BlockKind::Header, &[&start, &meta.header[..]].concat())?;
        let footer = Footer { hash: state.hash(), ..Footer::default() };
        Ok(Self { id, state, blocks, temporary, footer, tables: &TABLES, last_key: None })
    }

    /// Writes about this many more bytes of the state, and at least one pair.
    ///
    /// # Errors
    /// Those of the disk and of the state; the snapshot is to be given up.
    pub fn step(&mut self, bytes_max: u64) -> Result<Progress> {
        let mut bytes = 0;
        while let Some((table, later)) = self.tables.split_first() {
            let range = match self.last_key.take() {
                // The least key that is greater than the last one.
                Some(last) => KeyRange::all().starting_at([&last[..], &[0]].concat()),
                None => KeyRange::all(),
            };
            for pair in self.state.scan(*table, range) {
                let (key, value) = pair?;
                bytes += self.blocks.record(*table as u8, &key, &value)?;
                self.footer.pairs += 1;
                if bytes >= bytes_max {
                    self.last_key = Some(key);
                    return Ok(Progress::More);
                }
            }
            self.tables = later;
        }
        Ok(Progress::Done)
    }

    /// Appends a record to one of the caller's own sections, numbered 128 to 255. Records come back in the order in
    /// which they were appended.
    ///
    /// # Errors
    /// [`SnapshotError::NoSection`], [`SnapshotError::TooLarge`], and those of the disk, after which the snapshot is
    /// to be given up.
    pub fn section(&mut self, number: u8, key: &[u8], value: &[u8]) -> Result<()> {
        if number < SECTION_FIRST {
            return Err(SnapshotError::NoSection { number });
        }
        self.blocks.record(number, key, value)?;
        self.footer.section_records += 1;
        Ok(())
    }

    /// Completes the file and gives it its name. It is durable on return.
    ///
    /// # Errors
    /// [`SnapshotError::Unfinished`] before [`SnapshotWriter::step`] is done; those of the disk. In either case there
    /// is no new snapshot, unless only the last sync of the directory failed: then there may be one.
    pub fn finish(mut self) -> Result<SnapshotFile> {
        if !self.tables.is_empty() {
            return Err(SnapshotError::Unfinished { id: self.id });
        }
        let bytes = self.blocks.finish(&self.footer)?;
        let path = self.temporary.install(self.id)?;
        Ok(SnapshotFile { id: self.id, path, bytes })
    }
}
