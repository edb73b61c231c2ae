//! The blocks that a snapshot consists of. The layout is on the page of [formats](crate::formats).

use std::path::{Path, PathBuf};

use super::error::{Result, SnapshotError};
use crate::disk::DiskFile;
use crate::fields::Fields;
use crate::formats::{SNAPSHOT_MAGIC, SNAPSHOT_VERSION};
use crate::state::StateHash;

/// The length of what is in front of the first block.
const PREFIX_BYTES: usize = 16;
/// The length of what is in front of a block's payload.
const HEADER_BYTES: usize = 12;
/// After how many bytes a sync is due, so that the last one does not have everything to do.
const SYNC_BYTES: u64 = 8 * 1_048_576;

/// The kinds of blocks. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    Header = 1,
    Records = 2,
    Footer = 3,
}

/// The last block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    /// How many pairs of the state there are.
    pub(crate) pairs: u64,
    /// How many records of sections there are.
    pub(crate) section_records: u64,
    /// The hash of the state.
    pub(crate) hash: StateHash,
}

impl Footer {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(&self.pairs.to_le_bytes());
        bytes.extend_from_slice(&self.section_records.to_le_bytes());
        bytes.extend_from_slice(&self.hash.as_u128().to_le_bytes());
        bytes
    }

    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        let footer = Self {
            pairs: fields.u64()?,
            section_records: fields.u64()?,
            hash: StateHash::from_u128(fields.u128()?),
        };
        fields.is_empty().then_some(footer)
    }
}

fn prefix() -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    let fields = SNAPSHOT_MAGIC.iter().copied().chain(SNAPSHOT_VERSION.to_le_bytes());
    for (to, from) in prefix.iter_mut().zip(fields) {
        *to = from;
    }
    prefix
}

/// Writes blocks, one after the other.
pub(super) struct BlockWriter {
    file: Box<dyn DiskFile>,
    offset: u64,
    unsynced_bytes: u64,
    /// The checksum of the last block, with which that of the next one starts.
    chain: u32,
    /// The block of records that is being filled, with room for its header.
    block: Vec<u8>,
    block_bytes: usize,
}

impl BlockWriter {
    /// Starts a snapshot in an empty file. Blocks of records are written when they have this many bytes.
    pub(super) fn start(file: Box<dyn DiskFile>, block_bytes: usize) -> Result<Self> {
        let prefix = prefix();
        file.write_at(0, &prefix)?;
        Ok(Self {
            file,
            offset: PREFIX_BYTES as u64,
            unsynced_bytes: 0,
            chain: crc32c::crc32c(&prefix),
            block: vec![0; HEADER_BYTES],
            block_bytes,
        })
    }

    /// Writes a block by itself.
    pub(super) fn write(&mut self, kind: BlockKind, payload: &[u8]) -> Result<()> {
        self.flush()?;
        self.block.extend_from_slice(payload);
        self.write_block(kind)
    }

    pub(super) fn finish(&mut self, footer: &Footer) -> Result<u64> {
        self.write(BlockKind::Footer, &footer.encode())?;
        self.file.sync_data()?;
        Ok(self.offset)
    }

    /// Appends a record, and returns how many bytes it takes.
    pub(super) fn record(&mut self, number: u8, key: &[u8], value: &[u8]) -> Result<u64> {
        let bytes = 9 + key.len() as u64 + value.len() as u64;
        let length = |part: &[u8]| u32::try_from(part.len()).map_err(|_| SnapshotError::TooLarge { bytes });
        let (key_bytes, value_bytes) = (length(key)?, length(value)?);
        u32::try_from(bytes + self.block_bytes as u64).map_err(|_| SnapshotError::TooLarge { bytes })?;
        self.block.push(number);
        self.block.extend_from_slice(&key_bytes.to_le_bytes());
        self.block.extend_from_slice(&value_bytes.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        if self.block.len() >= self.block_bytes {
            self.flush()?;
        }
        Ok(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.len() == HEADER_BYTES {
            return Ok(());
        }
        self.write_block(BlockKind::Records)
    }

    fn write_block(&mut self, kind: BlockKind) -> Result<()> {
        let payload_bytes = (self.block.len() - HEADER_BYTES) as u32;
        let fields = payload_bytes.to_le_bytes().into_iter().chain([kind as u8, 0, 0, 0]);
        for (to, from) in self.block.iter_mut().skip(4).zip(fields) {
            *to = from;
        }
        self.chain = crc32c::crc32c_append(self.chain, self.block.get(4..).unwrap_or_default());
        if let Some(slot) = self.block.get_mut(..4) {
            slot.copy_from_slice(&self.chain.to_le_bytes());
        }
        self.file.write_at(self.offset, &self.block)?;
        self.offset += self.block.len() as u64;
        self.unsynced_bytes += self.block.len() as u64;
        self.block.truncate(HEADER_BYTES);
        if self.unsynced_bytes >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }
}

/// Reads blocks, one after the other.
pub(super) struct BlockReader<'a> {
    file: &'a dyn DiskFile,
    path: PathBuf,
    size: u64,
    offset: u64,
    chain: u32,
    payload: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    pub(super) fn start(file: &'a dyn DiskFile, path: &Path) -> Result<Self> {
        let mut found = [0; PREFIX_BYTES];
        let size = file.size()?;
        let mut reader = Self { file, path: path.to_owned(), size, offset: 0, chain: 0, payload: Vec::new() };
        if file.read_at(0, &mut found)? < PREFIX_BYTES {
            return Err(reader.damaged("it ends within its first bytes"));
        }
        let mut fields = Fields(&found);
        if fields.array() != Some(SNAPSHOT_MAGIC) {
            return Err(reader.damaged("it does not start as a snapshot does"));
        }
        let version = fields.u32().unwrap_or_default();
        if version != SNAPSHOT_VERSION {
            return Err(reader.newer(format!("format version {version}")));
        }
        if found != prefix() {
            return Err(reader.damaged("it does not start as a snapshot does"));
        }
        reader.offset = PREFIX_BYTES as u64;
        reader.chain = crc32c::crc32c(&found);
        Ok(reader)
    }

    /// The next block: what kind, and its payload.
    pub(super) fn next(&mut self) -> Result<(BlockKind, &[u8])> {
        let mut header = [0; HEADER_BYTES];
        if self.file.read_at(self.offset, &mut header)? < HEADER_BYTES {
            return Err(self.damaged("it ends before its last block"));
        }
        let mut fields = Fields(&header);
        let checksum = fields.u32().unwrap_or_default();
        let checked = fields.0;
        let payload_bytes = fields.u32().unwrap_or_default();
        let kind = fields.array::<4>().unwrap_or_default();
        let start = self.offset + HEADER_BYTES as u64;
        // A length from a damaged header must not make us ask for memory that no block needs.
        if u64::from(payload_bytes) > self.size.saturating_sub(start) {
            return Err(self.damaged("a block goes beyond the end"));
        }
        self.payload.clear();
        self.payload.resize(payload_bytes as usize, 0);
        let read = self.file.read_at(start, &mut self.payload)?;
        let chain = crc32c::crc32c_append(crc32c::crc32c_append(self.chain, checked), &self.payload);
        if read < self.payload.len() || chain != checksum {
            return Err(self.damaged("the checksum of a block does not fit"));
        }
        let kind = match kind {
            [1, 0, 0, 0] => BlockKind::Header,
            [2, 0, 0, 0] => BlockKind::Records,
            [3, 0, 0, 0] => BlockKind::Footer,
            _ => return Err(self.newer(format!("a block of kind {kind:?}"))),
        };
        self.chain = chain;
        self.offset = start + u64::from(payload_bytes);
        Ok((kind, &self.payload))
    }

    /// Whether everything was read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.offset == self.size
    }

    /// An error at the block that was read last.
    pub(super) fn damaged(&self, reason: impl Into<String>) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), offset: self.offset, reason: reason.into() }
    }

    pub(super) fn newer(&self, found: String) -> SnapshotError {
        SnapshotError::NewerVersion { path: self.path.clone(), found }
    }
}
