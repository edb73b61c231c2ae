//! Reading a snapshot: to check it, to load it, and to send it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use synod_types::{LogIndex, Term};

use super::block::{BlockKind, BlockReader, Footer};
use super::error::{Result, SnapshotError};
use super::{SECTION_FIRST, SnapshotFile, SnapshotId, SnapshotMeta};
use crate::disk::{Disk, DiskFile};
use crate::fields::Fields;
use crate::state::{StateHash, StateStore, Table};

/// The greatest chunk that is read for sending, in bytes.
const CHUNK_BYTES_MAX: u32 = 1_048_576;

/// Takes the records of sections: number, key and value. What it returns as an error ends the loading.
pub type SectionSink<'a> = dyn FnMut(u8, &[u8], &[u8]) -> Result<(), String> + 'a;

/// Takes the pairs of the state.
type PairSink<'a> = dyn FnMut(Table, &[u8], &[u8]) -> Result<()> + 'a;

/// An open snapshot. It stays readable when the file is removed.
pub struct SnapshotReader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    meta: SnapshotMeta,
}

/// A record: of a table, or of a section.
struct Record<'a> {
    number: u8,
    key: &'a [u8],
    value: &'a [u8],
}

impl SnapshotReader {
    /// Opens a snapshot and reads its header. What follows is checked by [`SnapshotReader::verify`] and
    /// [`SnapshotReader::load`].
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`], [`SnapshotError::NewerVersion`], and those of the disk.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.open(path)?;
        let bytes = file.size()?;
        let meta = read_meta(&mut BlockReader::start(&*file, path)?)?;
        Ok(Self { file, path: path.to_owned(), bytes, meta })
    }

    /// What stands at its start.
    pub const fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// The file it is in.
    pub fn file(&self) -> SnapshotFile {
        SnapshotFile { id: self.meta.id, path: self.path.clone(), bytes: self.bytes }
    }

    /// Reads everything and checks it, the hash of the state included.
    ///
    /// # Errors
    /// As [`SnapshotReader::open`].
    pub fn verify(&self) -> Result<()> {
        let mut hash = StateHash::default();
        let footer = self.visit(
            &mut |table, key, value| {
                hash.add(table, key, value);
                Ok(())
            },
            &mut |_, _, _| Ok(()),
        )?;
        self.check_hash(&footer, hash)
    }

    /// Loads the state into an empty store, and hands the records of the caller's sections to `section`, in the order
    /// in which they were written.
    ///
    /// # Errors
    /// After any error the store is to be thrown away: it holds a part of the state. [`SnapshotError::NotEmpty`],
    /// [`SnapshotError::Section`], [`SnapshotError::State`], and as [`SnapshotReader::open`].
    pub fn load(&self, store: &mut dyn StateStore, section: &mut SectionSink<'_>) -> Result<()> {
        if !store.is_empty() {
            return Err(SnapshotError::NotEmpty { keys: store.len() });
        }
        let put = &mut |table, key: &[u8], value: &[u8]| {
            store.put(table, key, value)?;
            Ok(())
        };
        let footer = self.visit(put, section)?;
        self.check_hash(&footer, store.hash())?;
        Ok(store.commit()?)
    }

    /// The bytes of the file from `offset` on, at most `bytes_max` and 1 MiB; none at the end.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_chunk(&self, offset: u64, bytes_max: u32) -> Result<Bytes> {
        let left = self.bytes.saturating_sub(offset);
        let mut chunk = vec![0; left.min(u64::from(bytes_max.min(CHUNK_BYTES_MAX))) as usize];
        let read = self.file.read_at(offset, &mut chunk)?;
        chunk.truncate(read);
        Ok(chunk.into())
    }

    /// Reads everything and checks it, but for the hash.
    fn visit(&self, pair: &mut PairSink<'_>, section: &mut SectionSink<'_>) -> Result<Footer> {
        let mut blocks = BlockReader::start(&*self.file, &self.path)?;
        read_meta(&mut blocks)?;
        let mut seen = Footer::default();
        loop {
            let (kind, payload) = blocks.next()?;
            let mut fields = Fields(payload);
            match kind {
                BlockKind::Records => {
                    while !fields.is_empty() {
                        let record = read_record(&mut fields);
                        let Some(Record { number, key, value }) = record else {
                            return Err(blocks.damaged("a record goes beyond its block"));
                        };
                        if number >= SECTION_FIRST {
                            seen.section_records += 1;
                            let taken = section(number, key, value);
                            taken.map_err(|reason| SnapshotError::Section { number, reason })?;
                        } else if let Some(table) = Table::from_number(number) {
                            seen.pairs += 1;
                            pair(table, key, value)?;
                        } else {
                            return Err(blocks.newer(format!("a table {number}")));
                        }
                    }
                }
                BlockKind::Footer => {
                    let footer = Footer::decode(payload);
                    let fits = |footer: &Footer| Footer { hash: seen.hash, ..*footer } == seen;
                    return match footer.filter(fits) {
                        Some(footer) if blocks.is_at_end() => Ok(footer),
                        Some(_) => Err(blocks.damaged("it goes on after its last block")),
                        None => Err(blocks.damaged("its last block counts other records")),
                    };
                }
                BlockKind::Header => return Err(blocks.damaged("it has a second header")),
            }
        }
    }

    fn check_hash(&self, footer: &Footer, found: StateHash) -> Result<()> {
        if footer.hash == found {
            return Ok(());
        }
        Err(SnapshotError::Damaged {
            path: self.path.clone(),
            offset: self.bytes,
            reason: format!("the state hashes to {found} and should to {}", footer.hash),
        })
    }
}

fn read_meta(blocks: &mut BlockReader<'_>) -> Result<SnapshotMeta> {
    let (kind, payload) = blocks.next()?;
    let mut fields = Fields(payload);
    if let (BlockKind::Header, Some(index), Some(term)) = (kind, fields.u64(), fields.u64()) {
        return Ok(SnapshotMeta {
            id: SnapshotId { index: LogIndex(index), term: Term(term) },
            header: Bytes::copy_from_slice(fields.0),
        });
    }
    Err(blocks.damaged("its first block is no header"))
}

fn read_record<'a>(fields: &mut Fields<'a>) -> Option<Record<'a>> {
    let number = fields.u8()?;
    let (key_bytes, value_bytes) = (fields.u32()?, fields.u32()?);
    Some(Record { number, key: fields.bytes(key_bytes)?, value: fields.bytes(value_bytes)? })
}
