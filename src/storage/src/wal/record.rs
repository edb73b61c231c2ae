//! The bytes of one record. The layout is on the page of [formats](crate::formats).

use bytes::Bytes;
use synod_types::{LogIndex, MemberId, Term};

use super::segment::COUNT_MAX;
use super::{Entry, EntryKind, HardState, Lsn, SnapshotMark};
use crate::fields::Fields;

/// The length of everything before the payload.
pub(crate) const HEADER_BYTES: usize = 56;
/// Records start at multiples of this, so that a search for them need not look everywhere.
pub(crate) const ALIGNMENT_BYTES: usize = 8;
/// What a hard state and a snapshot mark take together.
pub(super) const PREAMBLE_BYTES: u64 = 2 * HEADER_BYTES as u64 + 8;

/// The kinds of records. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Entry = 1,
    HardState = 2,
    SnapshotMark = 3,
    /// The log was opened: what follows is of a new epoch.
    Opened = 4,
    /// Says nothing but that everything before it was durable.
    Seal = 5,
}

/// What a record is made of, but for its place in the log.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) kind: u8,
    /// Distinguishes records of one kind; its meaning is the kind's.
    pub(crate) variant: u8,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) payload: &'a [u8],
}

/// Where a record stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: u64,
    pub(crate) lsn: Lsn,
    /// The last record that was known to be durable when this one was appended. Always less than `lsn`.
    pub(crate) synced: Lsn,
}

/// What a record means.
pub(super) enum Meaning {
    Entry(Entry),
    HardState(HardState),
    SnapshotMark { mark: SnapshotMark, keep_suffix: bool },
    Nothing,
}

impl<'a> Body<'a> {
    pub(super) fn entry(entry: &'a Entry) -> Self {
        Self {
            kind: Kind::Entry as u8,
            variant: entry.kind as u8,
            term: entry.term.get(),
            index: entry.index.get(),
            payload: &entry.payload,
        }
    }

    /// `vote` is the vote's bytes, because a body does not own its payload.
    pub(super) const fn hard_state(state: &HardState, vote: &'a [u8; 8]) -> Self {
        Self {
            kind: Kind::HardState as u8,
            variant: 0,
            term: state.term.get(),
            index: state.commit.get(),
            payload: vote,
        }
    }

    pub(super) fn snapshot_mark(mark: SnapshotMark, keep_suffix: bool) -> Self {
        Self {
            kind: Kind::SnapshotMark as u8,
            variant: u8::from(keep_suffix),
            term: mark.term.get(),
            index: mark.index.get(),
            payload: &[],
        }
    }

    pub(super) const fn empty(kind: Kind) -> Self {
        Self { kind: kind as u8, variant: 0, term: 0, index: 0, payload: &[] }
    }

    /// What it means; none if this version does not know.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        const ENTRY: u8 = Kind::Entry as u8;
        const HARD_STATE: u8 = Kind::HardState as u8;
        const SNAPSHOT_MARK: u8 = Kind::SnapshotMark as u8;
        const OPENED: u8 = Kind::Opened as u8;
        const SEAL: u8 = Kind::Seal as u8;
        let (term, index) = (Term(self.term), LogIndex(self.index));
        Some(match (self.kind, self.variant) {
            (ENTRY, kind) => Meaning::Entry(Entry {
                term,
                index,
                kind: EntryKind::from_number(kind)?,
                payload: Bytes::copy_from_slice(self.payload),
            }),
            (HARD_STATE, 0) => Meaning::HardState(HardState {
                term,
                vote: MemberId(u64::from_le_bytes(self.payload.try_into().ok()?)),
                commit: index,
            }),
            (SNAPSHOT_MARK, keep @ (0 | 1)) => {
                Meaning::SnapshotMark { mark: SnapshotMark { index, term }, keep_suffix: keep == 1 }
            }
            (OPENED | SEAL, 0) => Meaning::Nothing,
            _ => return None,
        })
    }
}

/// How many bytes a record with such a payload takes.
pub(crate) const fn encoded_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT_BYTES)
}

/// Appends a record. `seed` is where its checksums start.
pub(crate) fn encode(buffer: &mut Vec<u8>, seed: u32, place: Place, body: &Body<'_>) {
    let payload_bytes = body.payload.len();
    buffer.reserve(encoded_bytes(payload_bytes));
    let start = buffer.len();
    // Counts are written as far as they fit. That keeps the promise: a smaller synced lsn claims less.
    let behind = u32::try_from(place.lsn.get() - place.synced.get()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&crc32c::crc32c_append(seed, body.payload).to_le_bytes());
    buffer.extend_from_slice(&(payload_bytes as u32).to_le_bytes());
    buffer.extend_from_slice(&behind.to_le_bytes());
    buffer.extend_from_slice(&place.epoch.to_le_bytes());
    buffer.extend_from_slice(&place.lsn.get().to_le_bytes());
    buffer.extend_from_slice(&body.term.to_le_bytes());
    buffer.extend_from_slice(&body.index.to_le_bytes());
    buffer.extend_from_slice(&[body.kind, body.variant, 0, 0, 0, 0, 0, 0]);
    let checked = buffer.get(start + 4..).unwrap_or_default();
    let checksum = crc32c::crc32c_append(seed, checked);
    if let Some(slot) = buffer.get_mut(start..start + 4) {
        slot.copy_from_slice(&checksum.to_le_bytes());
    }
    buffer.extend_from_slice(body.payload);
    buffer.resize(start + encoded_bytes(payload_bytes), 0);
}

/// A record whose header is valid.
pub(crate) struct Header<'a> {
    pub(crate) place: Place,
    payload_bytes: u32,
    payload_checksum: u32,
    body: Body<'a>,
    after: &'a [u8],
    unknown: bool,
}

/// Reads the header of the record at the start of `bytes`, if there is a valid one.
pub(crate) fn decode_header(bytes: &[u8], seed: u32) -> Option<Header<'_>> {
    let (header, after) = bytes.split_at_checked(HEADER_BYTES)?;
    let mut fields = Fields(header);
    let checksum = fields.u32()?;
    let checked = fields.0;
    let payload_checksum = fields.u32()?;
    let payload_bytes = fields.u32()?;
    let behind = fields.u32()?;
    let epoch = fields.u64()?;
    let lsn = fields.u64()?;
    let synced = lsn.checked_sub(u64::from(behind))?;
    // Most of what a search looks at is zeros: they are recognised before a checksum is computed.
    if behind == 0 || epoch.max(lsn) >= COUNT_MAX || crc32c::crc32c_append(seed, checked) != checksum {
        return None;
    }
    let (term, index) = (fields.u64()?, fields.u64()?);
    let (kind, variant) = (fields.u8()?, fields.u8()?);
    Some(Header {
        place: Place { epoch, lsn: Lsn(lsn), synced: Lsn(synced) },
        payload_bytes,
        payload_checksum,
        body: Body { kind, variant, term, index, payload: &[] },
        after,
        unknown: fields.array::<6>()? != [0; 6],
    })
}

impl<'a> Header<'a> {
    /// How many bytes the record takes, or would, if all of it were there.
    pub(crate) fn encoded_bytes(&self) -> usize {
        encoded_bytes(self.payload_bytes as usize)
    }

    /// The body, if the payload is there and valid.
    pub(crate) fn body(&self, seed: u32) -> Option<Body<'a>> {
        let payload = self.after.get(..self.payload_bytes as usize)?;
        let valid = crc32c::crc32c_append(seed, payload) == self.payload_checksum;
        valid.then_some(Body { payload, ..self.body })
    }

    /// Whether a newer version has put something where this one knows nothing.
    pub(super) const fn is_unknown(&self) -> bool {
        self.unknown
    }
}
