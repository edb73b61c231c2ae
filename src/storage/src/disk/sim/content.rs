//! The bytes of one file of the simulated disk, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::random::SplitMix64;

/// What a disk writes at once, in bytes.
pub(super) const SECTOR_BYTES: usize = 512;

type SectorBytes = [u8; SECTOR_BYTES];

/// A sector whose content on the platter is not what programs read.
#[derive(Clone)]
struct Dirty {
    /// What the platter may hold: first what is durable, then every write since, without the last one, which is
    /// what programs read.
    older: Vec<SectorBytes>,
    /// A failed sync dropped it: programs go on reading it, no later sync writes it, only a new write makes it
    /// eligible again.
    abandoned: bool,
}

/// The bytes of a file.
#[derive(Clone, Default)]
pub(super) struct Content {
    /// What programs read.
    bytes: Vec<u8>,
    /// The size that is durable.
    durable_size: usize,
    dirty: BTreeMap<usize, Dirty>,
}

/// The part of a sector that is inside the file; the rest is zeros.
fn read_sector(bytes: &[u8], sector: usize) -> SectorBytes {
    let mut out = [0; SECTOR_BYTES];
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    if let Some(part) = bytes.get(start..end)
        && let Some(to) = out.get_mut(..part.len())
    {
        to.copy_from_slice(part);
    }
    out
}

fn write_sector(bytes: &mut [u8], sector: usize, from: &SectorBytes) {
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    if let Some(to) = bytes.get_mut(start..end)
        && let Some(from) = from.get(..to.len())
    {
        to.copy_from_slice(from);
    }
}

fn sectors(range: Range<usize>) -> Range<usize> {
    range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES)
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a crash would leave what programs read.
    pub(super) fn is_synced(&self) -> bool {
        self.dirty.is_empty() && self.durable_size == self.bytes.len()
    }

    /// What a program writes.
    pub(super) fn write(&mut self, offset: usize, new: &[u8]) {
        let end = offset + new.len();
        for sector in sectors(offset..end) {
            let now = read_sector(&self.bytes, sector);
            let dirty =
                self.dirty.entry(sector).or_insert_with(|| Dirty { older: Vec::new(), abandoned: false });
            // What a failed sync dropped never reaches the platter.
            if !std::mem::take(&mut dirty.abandoned) {
                dirty.older.push(now);
            }
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(to) = self.bytes.get_mut(offset..end) {
            to.copy_from_slice(new);
        }
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        self.dirty.retain(|_, dirty| dirty.abandoned);
        self.durable_size = self.bytes.len();
    }

    /// A sync that fails: any part of what was to be written is on the platter, and the rest never will be.
    pub(super) fn fail_sync(&mut self, random: &mut SplitMix64) {
        self.dirty.retain(|_, dirty| {
            let written = !dirty.abandoned && random.chance(500_000);
            dirty.older.truncate(1);
            dirty.abandoned = true;
            !written
        });
    }

    /// The power goes: every sector is found as it was at the last sync, as it was after one of the writes since, or
    /// torn between two of these.
    pub(super) fn crash(&mut self, random: &mut SplitMix64) {
        // Some crashes lose everything, some nothing, most a part.
        let survive_per_million =
            [0, 1_000_000, 500_000, 900_000, 100_000].get(random.below(5) as usize).copied().unwrap_or(0);
        let mut bytes = std::mem::take(&mut self.bytes);
        for (sector, dirty) in std::mem::take(&mut self.dirty) {
            let last = read_sector(&bytes, sector);
            let found = outcome(&dirty, last, survive_per_million, random);
            write_sector(&mut bytes, sector, &found);
        }
        let sizes = bytes.len().abs_diff(self.durable_size) as u64;
        let smaller = bytes.len().min(self.durable_size);
        let size = match random.below(3) {
            0 => self.durable_size,
            1 => bytes.len(),
            _ => smaller + usize::try_from(random.below(sizes + 1)).unwrap_or(0),
        };
        bytes.resize(size, 0);
        self.bytes = bytes;
        self.durable_size = size;
    }

    /// Damage on the platter: a bit changes, in what is durable and in what programs read. False beyond the end.
    pub(super) fn flip_bit(&mut self, offset: usize, bit: u8) -> bool {
        let mask = 1_u8 << (bit % 8);
        let Some(byte) = self.bytes.get_mut(offset) else {
            return false;
        };
        *byte ^= mask;
        if let Some(dirty) = self.dirty.get_mut(&(offset / SECTOR_BYTES)) {
            for version in &mut dirty.older {
                if let Some(byte) = version.get_mut(offset % SECTOR_BYTES) {
                    *byte ^= mask;
                }
            }
        }
        true
    }

    /// Damage: everything behind `size` is gone, durably.
    pub(super) fn truncate(&mut self, size: usize) {
        self.bytes.truncate(size);
        self.durable_size = self.durable_size.min(size);
        self.dirty.retain(|sector, _| sector * SECTOR_BYTES < size);
    }
}

/// What a crash leaves of one sector.
fn outcome(
    dirty: &Dirty,
    last: SectorBytes,
    survive_per_million: u32,
    random: &mut SplitMix64,
) -> SectorBytes {
    let durable = dirty.older.first().copied().unwrap_or(last);
    if dirty.abandoned {
        return durable;
    }
    if random.chance(survive_per_million) {
        return last;
    }
    match random.below(4) {
        0 => {
            let nth = random.below(dirty.older.len() as u64) as usize;
            dirty.older.get(nth).copied().unwrap_or(durable)
        }
        1 => {
            let cut = random.below(SECTOR_BYTES as u64) as usize;
            let (mut torn, rest) = if random.chance(500_000) { (last, durable) } else { (durable, last) };
            if let (Some(to), Some(from)) = (torn.get_mut(cut..), rest.get(cut..)) {
                to.copy_from_slice(from);
            }
            torn
        }
        _ => durable,
    }
}
