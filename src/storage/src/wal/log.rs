//! The log as its owner sees it: append, write, sync, and let go of what snapshots cover.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_types::LogIndex;

use super::error::{Result, WalError};
use super::extent::Extent;
use super::files::{SegmentFiles, Spare, zero_fill};
use super::group::{BLOCK_BYTES, Group};
use super::record::{self, Body, Kind, PREAMBLE_BYTES, Place};
use super::segment::{self, Header, PREPARING, Segment};
use super::{Batch, Entry, HardState, Lsn, Preparation, Recovered, SnapshotMark, WalOptions, recovery};
use crate::disk::{DirLock, Disk, DiskError, remove_if_there};

/// The write-ahead log of one replica. Dropping it loses what was not synced.
pub struct Wal {
    files: SegmentFiles,
    group: Group,
    options: WalOptions,
    salt: u64,
    seed: u32,
    epoch: u64,
    next_lsn: Lsn,
    synced: Lsn,
    /// Segments that take no more records, oldest first.
    closed: VecDeque<Segment>,
    /// The segment that the next record goes to.
    current: Segment,
    extent: Extent,
    hard_state: HardState,
    /// The mark that is durable.
    synced_mark: SnapshotMark,
    poison: Option<DiskError>,
    _lock: Box<dyn DirLock>,
}

impl Wal {
    /// Creates an empty log in a directory, which is created as well if need be. It is there durably on return, or
    /// not at all. `salt` is a random number: it lets the log tell its own bytes from all others.
    ///
    /// # Errors
    /// [`WalError::LogExists`], [`WalError::SegmentBytes`], and those of the disk.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, salt: u64, options: WalOptions) -> Result<Self> {
        check_options(&options)?;
        disk.create_dir_all(dir)?;
        let lock = disk.lock_dir(dir)?;
        if disk.list(dir)?.iter().any(|name| segment::sequence_of(name).is_some()) {
            return Err(WalError::LogExists { dir: dir.to_owned() });
        }
        let header = Header {
            member: options.member,
            salt,
            sequence: 1,
            epoch: 1,
            first_lsn: Lsn(1),
            size: options.segment_bytes as u32,
        };
        let temporary = dir.join(PREPARING);
        remove_if_there(&*disk, &temporary)?;
        let file = disk.create(&temporary)?;
        zero_fill(&*file, &mut 0, options.segment_bytes, options.segment_bytes)?;
        let files = files(&disk, dir, &options, Spare { sequence: 1, file }, VecDeque::new());
        let mut group = Group::continuing(1, &[], 0);
        group.buffer().extend_from_slice(&header.encode());
        let current =
            Segment { sequence: 1, size: options.segment_bytes, index_max: LogIndex(0), preamble: Lsn(1) };
        let mut wal = Self {
            files,
            group,
            options,
            salt,
            seed: header.seed(),
            epoch: 1,
            next_lsn: Lsn(1),
            synced: Lsn(0),
            closed: VecDeque::new(),
            current,
            extent: Extent::default(),
            hard_state: HardState::default(),
            synced_mark: SnapshotMark::default(),
            poison: None,
            _lock: lock,
        };
        wal.begin_epoch();
        wal.sync()?;
        disk.rename(&temporary, &segment::path(dir, 1))?;
        disk.sync_dir(dir)?;
        Ok(wal)
    }

    /// Opens the log in a directory and returns what it holds, all of it durable. What cannot have been acknowledged
    /// is cut off at its end.
    ///
    /// # Errors
    /// [`WalError::Corrupt`] if something that may have been acknowledged is damaged or missing: the replica must
    /// not vote, and is to be replaced. [`WalError::NoLog`] if there is none. [`WalError::NewerVersion`],
    /// [`WalError::WrongMember`], [`WalError::SegmentBytes`], and those of the disk.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: WalOptions) -> Result<(Self, Recovered)> {
        check_options(&options)?;
        if !disk.exists(dir)? {
            return Err(WalError::NoLog { dir: dir.to_owned() });
        }
        let lock = disk.lock_dir(dir)?;
        let mut found = recovery::read(&*disk, dir, options.member)?;
        remove_if_there(&*disk, &dir.join(PREPARING))?;
        let Some(mut current) = found.segments.pop_back() else {
            return Err(WalError::NoLog { dir: dir.to_owned() });
        };
        let spares = usable_spares(&*disk, found.spares, current.sequence, options.segment_bytes)?;
        // A process that died may have left names that are not durable; the spares are going to be used under them.
        disk.sync_dir(dir)?;
        let mark = found.recovered.snapshot_mark.unwrap_or_default();
        // What this epoch writes first repeats the preamble, because that of the segment may have been cut off.
        current.preamble = found.next_lsn;
        let sequence = current.sequence;
        let file = disk.open(&segment::path(dir, sequence))?;
        let mut wal = Self {
            files: files(&disk, dir, &options, Spare { sequence, file }, spares),
            group: Group::continuing(sequence, &found.written, found.unproven_from),
            options,
            salt: found.header.salt,
            seed: found.header.seed(),
            epoch: found.epoch_max + 1,
            next_lsn: found.next_lsn,
            synced: found.proven,
            closed: found.segments,
            current,
            extent: Extent::of(mark, &found.recovered.entries),
            hard_state: found.recovered.hard_state,
            synced_mark: mark,
            poison: None,
            _lock: lock,
        };
        wal.begin_epoch();
        wal.sync()?;
        Ok((wal, found.recovered))
    }

    /// Appends to what the next write takes. Does no I/O. Returns the last record; it is durable once
    /// [`Wal::sync`] has returned it or a later one.
    ///
    /// # Errors
    /// [`WalError::OutOfOrder`], [`WalError::MarkBehind`] and [`WalError::TooLarge`]: nothing of the batch was
    /// appended. [`WalError::Poisoned`].
    pub fn append(&mut self, batch: &Batch<'_>) -> Result<Lsn> {
        self.check_poison()?;
        self.extent.check(batch, payload_bytes_max(&self.options))?;
        if let Some(mark) = batch.snapshot_mark {
            let keep_suffix = self.extent.keeps_suffix(mark);
            self.put(&Body::snapshot_mark(mark, keep_suffix));
            self.extent.restart(mark);
        }
        for entry in batch.entries {
            self.put_entry(entry);
        }
        if let Some(state) = batch.hard_state {
            self.put(&Body::hard_state(&state, &state.vote.get().to_le_bytes()));
            self.hard_state = state;
        }
        Ok(self.appended())
    }

    /// Hands what was appended to the kernel. It is not durable by that.
    ///
    /// # Errors
    /// [`WalError::Disk`], which stops the log for good; [`WalError::Poisoned`] ever after.
    pub fn write(&mut self) -> Result<()> {
        self.check_poison()?;
        if !self.group.has_news() {
            return Ok(());
        }
        let files = &mut self.files;
        let result = self.group.write(|sequence, offset, bytes| files.write(sequence, offset, bytes));
        self.poison_on_error(result)
    }

    /// Makes everything appended so far durable, and returns the last record of it. Without anything new it does
    /// no I/O.
    ///
    /// # Errors
    /// [`WalError::Disk`]: what was appended since the last sync may or may not be there after a restart. It stops
    /// the log for good; [`WalError::Poisoned`] ever after.
    pub fn sync(&mut self) -> Result<Lsn> {
        self.write()?;
        let result = self.files.sync();
        self.poison_on_error(result)?;
        self.synced = self.appended();
        self.synced_mark = self.extent.mark();
        Ok(self.synced)
    }

    /// Appends a record that proves everything before it to have been durable, and syncs. Call it before the replica
    /// stops or when it has nothing to write: without it, damage in the last group looks like a group that was never
    /// completed.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    pub fn seal(&mut self) -> Result<Lsn> {
        self.sync()?;
        self.put(&Body::empty(Kind::Seal));
        self.sync()
    }

    /// Lets go of the segments in which no entry is later than `index`, durably. They are kept for use as new ones, or
    /// removed.
    ///
    /// # Errors
    /// [`WalError::NotCovered`] if the durable snapshot mark is before `index`. [`WalError::Disk`], which stops
    /// the log for good; [`WalError::Poisoned`] ever after.
    pub fn truncate_up_to(&mut self, index: LogIndex) -> Result<()> {
        self.check_poison()?;
        if index > self.synced_mark.index {
            return Err(WalError::NotCovered { index, mark: self.synced_mark });
        }
        while let Some(oldest) = self.closed.front().copied() {
            let next = self.closed.get(1).unwrap_or(&self.current);
            if oldest.index_max > index || next.preamble > self.synced {
                break;
            }
            // One by one and oldest first: a gap between segments looks like damage.
            let result = self.files.retire(oldest.sequence, oldest.size);
            self.poison_on_error(result)?;
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Fills up to `bytes_max` more bytes of a spare segment, unless there is one. A segment that is needed and not
    /// there is made at once, while everything waits: call this beside the writes, in small steps.
    ///
    /// # Errors
    /// [`WalError::Disk`] if it cannot be made. The log goes on as long as its last segment has room, unless
    /// it says [`WalError::Poisoned`] from then on.
    pub fn prepare_spare(&mut self, bytes_max: u64) -> Result<Preparation> {
        self.check_poison()?;
        if self.files.has_spare() {
            return Ok(Preparation::Ready);
        }
        if !self.files.fill(bytes_max)? {
            return Ok(Preparation::Underway);
        }
        let result = self.files.publish();
        self.poison_on_error(result)?;
        Ok(Preparation::Ready)
    }

    /// The last record that is durable.
    pub const fn synced(&self) -> Lsn {
        self.synced
    }

    /// The last record that was appended.
    pub const fn appended(&self) -> Lsn {
        self.next_lsn.previous()
    }

    /// How many bytes the segments in use take on the disk.
    pub fn size_bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.size).sum::<u64>() + self.current.size
    }

    /// Why the log takes nothing any more, if so.
    pub const fn poison(&self) -> Option<&DiskError> {
        self.poison.as_ref()
    }

    /// Which segment the next record goes to, and where in it.
    #[cfg(test)]
    pub(super) fn place(&self) -> (u64, u64) {
        (self.group.sequence(), self.group.position())
    }

    fn put_entry(&mut self, entry: &Entry) {
        self.put(&Body::entry(entry));
        self.extent.push(entry.index, entry.term);
        self.current.index_max = self.current.index_max.max(entry.index);
    }

    /// Appends a record, to the next segment if it does not fit into this one.
    fn put(&mut self, body: &Body<'_>) {
        let end = self.group.position() + record::encoded_bytes(body.payload.len()) as u64;
        if end > self.current.size {
            self.begin_segment();
        }
        self.encode(body);
    }

    fn encode(&mut self, body: &Body<'_>) {
        let place = Place { epoch: self.epoch, lsn: self.next_lsn, synced: self.synced };
        record::encode(self.group.buffer(), self.seed, place, body);
        self.next_lsn = self.next_lsn.next();
    }

    fn begin_segment(&mut self) {
        let sequence = self.group.sequence() + 1;
        self.group.begin_segment(&Header {
            member: self.options.member,
            salt: self.salt,
            sequence,
            epoch: self.epoch,
            first_lsn: self.next_lsn,
            size: self.options.segment_bytes as u32,
        });
        let next = Segment {
            sequence,
            size: self.options.segment_bytes,
            index_max: LogIndex(0),
            preamble: self.next_lsn,
        };
        self.closed.push_back(std::mem::replace(&mut self.current, next));
        let (state, mark) = (self.hard_state, self.extent.mark());
        self.encode(&Body::hard_state(&state, &state.vote.get().to_le_bytes()));
        self.encode(&Body::snapshot_mark(mark, true));
        self.current.preamble = self.appended();
    }

    fn begin_epoch(&mut self) {
        self.put(&Body::empty(Kind::Opened));
        let (state, mark) = (self.hard_state, self.extent.mark());
        self.put(&Body::hard_state(&state, &state.vote.get().to_le_bytes()));
        self.put(&Body::snapshot_mark(mark, true));
        self.current.preamble = self.appended();
    }

    fn check_poison(&self) -> Result<()> {
        match &self.poison {
            Some(cause) => Err(WalError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn poison_on_error<T>(&mut self, result: Result<T, DiskError>) -> Result<T> {
        if let Err(error) = &result {
            self.poison = Some(error.clone());
        }
        Ok(result?)
    }
}

fn check_options(options: &WalOptions) -> Result<()> {
    let segment_bytes = options.segment_bytes;
    if !(16_384..=1 << 30).contains(&segment_bytes) || !segment_bytes.is_multiple_of(BLOCK_BYTES as u64) {
        return Err(WalError::SegmentBytes { segment_bytes });
    }
    Ok(())
}

/// What fits into a new segment behind its preamble.
const fn payload_bytes_max(options: &WalOptions) -> u64 {
    options.segment_bytes - segment::HEADER_BYTES as u64 - PREAMBLE_BYTES - record::HEADER_BYTES as u64
}

fn files(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &WalOptions,
    current: Spare,
    spares: VecDeque<Spare>,
) -> SegmentFiles {
    let (bytes, spares_max) = (options.segment_bytes, options.spare_segments);
    SegmentFiles::new(Arc::clone(disk), dir.to_owned(), bytes, spares_max, current, spares)
}

/// Opens the spares that follow the last segment without a gap and have the right size; removes the others.
fn usable_spares(
    disk: &dyn Disk,
    found: Vec<(u64, PathBuf)>,
    current: u64,
    segment_bytes: u64,
) -> Result<VecDeque<Spare>> {
    let mut spares = VecDeque::new();
    for (sequence, path) in found {
        let file = disk.open(&path)?;
        if sequence == current + 1 + spares.len() as u64 && file.size()? == segment_bytes {
            spares.push_back(Spare { sequence, file });
        } else {
            drop(file);
            disk.remove(&path)?;
        }
    }
    Ok(spares)
}
