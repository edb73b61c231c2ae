//! A segment: its name, its header, and what is known of it. The layout is on the page of [formats](crate::formats).

use std::path::{Path, PathBuf};

use synod_types::{LogIndex, MemberId};

use super::Lsn;
use super::error::{Result, WalError};
use crate::fields::Fields;
use crate::formats::{SEGMENT_MAGIC, SEGMENT_VERSION};

/// The length of the header. The first record follows.
pub(crate) const HEADER_BYTES: usize = 64;
/// The file that is being made ready to become a segment.
pub(super) const PREPARING: &str = "preparing.tmp";

/// Greater than any lsn or epoch.
pub(super) const COUNT_MAX: u64 = 1 << 62;

const SUFFIX: &str = ".wal";

/// The start of a segment that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whose log it is.
    pub(crate) member: MemberId,
    /// A random number that is the same in all segments of a log.
    pub(crate) salt: u64,
    /// The how-many-th segment of the log it is. Also its name.
    pub(crate) sequence: u64,
    /// The epoch in which it was begun.
    pub(crate) epoch: u64,
    /// The first record in it. Everything before was durable before this header was written.
    pub(crate) first_lsn: Lsn,
    /// The length of the file, in bytes.
    pub(crate) size: u32,
}

/// What the start of a file says.
pub(super) enum Start {
    /// It is the segment that its name says.
    Segment(Header),
    /// It is not in use: blank, or with what it held when it was another segment.
    Spare,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.member.get().to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.first_lsn.get().to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        let mut out = [0; HEADER_BYTES];
        for (to, from) in out.iter_mut().zip(&bytes) {
            *to = *from;
        }
        let checksum = crc32c::crc32c(out.get(12..).unwrap_or_default());
        if let Some(slot) = out.get_mut(8..12) {
            slot.copy_from_slice(&checksum.to_le_bytes());
        }
        out
    }

    /// The valid header at the start of `bytes`, with its version.
    fn decode(bytes: &[u8]) -> Option<(u32, Self)> {
        let mut fields = Fields(bytes.get(..HEADER_BYTES)?);
        let magic = fields.array::<8>()?;
        let checksum = fields.u32()?;
        if magic != SEGMENT_MAGIC || crc32c::crc32c(fields.0) != checksum {
            return None;
        }
        let version = fields.u32()?;
        let header = Self {
            member: MemberId(fields.u64()?),
            salt: fields.u64()?,
            sequence: fields.u64()?,
            epoch: fields.u64()?,
            first_lsn: Lsn(fields.u64()?),
            size: fields.u32()?,
        };
        // Neither runs out in the life of a log, so a count near the end is none of ours.
        let plausible = header.first_lsn > Lsn(0) && header.first_lsn.get().max(header.epoch) < COUNT_MAX;
        plausible.then_some((version, header))
    }

    /// Where the checksums of this log's records start. Nobody outside knows the salt, so no payload can be made to
    /// look like a record.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.salt.to_le_bytes())
    }
}

/// Reads the start of the file that is named as segment `sequence` of the log of `member`.
pub(super) fn read_start(bytes: &[u8], path: &Path, sequence: u64, member: MemberId) -> Result<Start> {
    if bytes.len() < HEADER_BYTES {
        // It may have been the last segment in use, sealed, and then nothing else tells what it held.
        let evidence = format!("it is {} bytes long, and a file that has its name is whole", bytes.len());
        return Err(WalError::Corrupt { segment: path.to_owned(), offset: 0, lsn: Lsn(0), evidence });
    }
    let Some((version, header)) = Header::decode(bytes) else {
        return Ok(Start::Spare);
    };
    if version != SEGMENT_VERSION {
        return Err(WalError::NewerVersion {
            segment: path.to_owned(),
            offset: 0,
            found: format!("format version {version}"),
        });
    }
    if header.member != member {
        return Err(WalError::WrongMember {
            segment: path.to_owned(),
            found: header.member,
            expected: member,
        });
    }
    let corrupt = |evidence: String| WalError::Corrupt {
        segment: path.to_owned(),
        offset: 0,
        lsn: header.first_lsn,
        evidence,
    };
    if header.sequence > sequence {
        return Err(corrupt(format!("it is segment {} by its header", header.sequence)));
    }
    if header.sequence < sequence {
        return Ok(Start::Spare);
    }
    if (bytes.len() as u64) < u64::from(header.size) {
        let evidence = format!("it was {} bytes long and is {}", header.size, bytes.len());
        return Err(corrupt(evidence));
    }
    Ok(Start::Segment(header))
}

/// What the log knows of a segment in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    pub(super) size: u64,
    /// The greatest index of the entries in it; 0 if there are none.
    pub(super) index_max: LogIndex,
    /// Once this record is durable, hard state and snapshot mark need no earlier segment.
    pub(super) preamble: Lsn,
}

/// The path of a segment.
pub(super) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:016x}{SUFFIX}"))
}

/// The sequence in the name of a segment; none for other files.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let valid = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}
