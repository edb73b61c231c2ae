//! Every key and value that this crate persists, with its format. One page, kept complete.
//!
//! Integers in keys are big-endian, so that byte order is numeric order. Every value starts with a format byte, and
//! every format that was ever written stays readable.
//!
//! | table | key | value | written by |
//! |---|---|---|---|
//! | `Registry` | `i` primitive(8) | [`registry`](crate::registry): 1, kind(1), `Description` message | create, delete |
//! | `Registry` | `n` application `\0` name | 1, primitive(8) | create, delete |
//! | `Ownership` | session(8) primitive(8) | 1 | locks and elections, for what a session holds |
//! | `Timers` | deadline ms(8) index(8) ordinal(4) | 1, primitive(8), the kind's own key | TTLs, leases, waits |
//! | `Data` | primitive(8) [`Record`](1) the kind's own key | by kind, below | the kinds |
//!
//! | kind | record | own key | value |
//! |---|---|---|---|
//! | counter | `Item` | none | 1, value (i64, little-endian) |
//!
//! What must not go here: meaning. This module only lays bytes out.

use synod_storage::state::KeyRange;
use synod_types::{Index, LogTime, PrimitiveId, SessionId};

/// What a key of the table `Data` holds. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Record {
    /// One for each primitive and partition: counts and the like.
    Header = 0,
    /// The items that users put: the counter, the value, an entry, an element.
    Item = 1,
    /// Those who wait: lock waiters, candidates, in order.
    Queue = 2,
    /// Where a holder or waiter is found by its request id.
    Request = 3,
}

/// A key of `Registry` by id.
pub(crate) fn registry_id(primitive: PrimitiveId) -> [u8; 9] {
    tagged(b'i', primitive.get())
}

/// The ids of all primitives.
pub(crate) fn registry_ids() -> KeyRange {
    KeyRange::prefix(*b"i")
}

/// A key of `Registry` by name. The application and the name hold no NUL byte.
pub(crate) fn registry_name(application: &str, name: &str) -> Vec<u8> {
    [b"n", application.as_bytes(), b"\0", name.as_bytes()].concat()
}

/// A key of `Ownership`.
pub(crate) fn ownership(session: SessionId, primitive: PrimitiveId) -> [u8; 16] {
    let mut key = [0; 16];
    let (first, second) = key.split_at_mut(8);
    first.copy_from_slice(&session.get().to_be_bytes());
    second.copy_from_slice(&primitive.get().to_be_bytes());
    key
}

/// Everything that a session owns.
pub(crate) fn ownership_of(session: SessionId) -> KeyRange {
    KeyRange::prefix(session.get().to_be_bytes())
}

/// The primitive in a key of `Ownership`.
pub(crate) fn owned_primitive(key: &[u8]) -> Option<PrimitiveId> {
    let (_, primitive) = key.split_first_chunk::<8>()?;
    Some(PrimitiveId(u64::from_be_bytes(primitive.try_into().ok()?)))
}

/// A key of `Timers`: unique, and in the order in which timers fire (C6: by deadline, then by creation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    /// When it fires.
    pub deadline: LogTime,
    /// The command that set it.
    pub index: Index,
    /// The how-many-th timer of that command it is.
    pub ordinal: u32,
}

impl TimerKey {
    /// The encoded length, in bytes.
    pub const LEN: usize = 20;

    /// The key as it is stored.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut key = [0; Self::LEN];
        let (deadline, rest) = key.split_at_mut(8);
        let (index, ordinal) = rest.split_at_mut(8);
        deadline.copy_from_slice(&self.deadline.get().to_be_bytes());
        index.copy_from_slice(&self.index.get().to_be_bytes());
        ordinal.copy_from_slice(&self.ordinal.to_be_bytes());
        key
    }

    /// Reads a stored key.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (deadline, rest) = key.split_first_chunk::<8>()?;
        let (index, ordinal) = rest.split_first_chunk::<8>()?;
        Some(Self {
            deadline: LogTime(u64::from_be_bytes(*deadline)),
            index: Index(u64::from_be_bytes(*index)),
            ordinal: u32::from_be_bytes(ordinal.try_into().ok()?),
        })
    }
}

/// A key of `Data`.
pub(crate) fn data(primitive: PrimitiveId, record: Record, own: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + own.len());
    key.extend_from_slice(&primitive.get().to_be_bytes());
    key.push(record as u8);
    key.extend_from_slice(own);
    key
}

/// The records of one kind of one primitive whose own key starts with `prefix`.
pub(crate) fn data_range(primitive: PrimitiveId, record: Record, prefix: &[u8]) -> KeyRange {
    KeyRange::prefix(data(primitive, record, prefix))
}

/// Everything that one primitive holds.
pub(crate) fn data_of(primitive: PrimitiveId) -> KeyRange {
    KeyRange::prefix(primitive.get().to_be_bytes())
}

/// A kind's own key within a key of `Data`.
pub(crate) fn own_key(key: &[u8]) -> &[u8] {
    key.get(9..).unwrap_or_default()
}

fn tagged(tag: u8, number: u64) -> [u8; 9] {
    let mut key = [tag; 9];
    let (_, rest) = key.split_at_mut(1);
    rest.copy_from_slice(&number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout is persisted: this test changes only together with a new format.
    #[test]
    fn the_layout_is_pinned() {
        let primitive = PrimitiveId(0x0102_0304_0506_0708);
        assert_eq!(registry_id(primitive), *b"i\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(registry_name("app", "users"), b"napp\0users");
        assert_eq!(
            ownership(SessionId(9), primitive),
            *b"\0\0\0\0\0\0\0\x09\x01\x02\x03\x04\x05\x06\x07\x08"
        );
        assert_eq!(
            data(primitive, Record::Item, b"k"),
            b"\x01\x02\x03\x04\x05\x06\x07\x08\x01k"
        );
        let timer = TimerKey {
            deadline: LogTime(1),
            index: Index(2),
            ordinal: 3,
        };
        assert_eq!(timer.encode(), *b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x03");
    }

    #[test]
    fn keys_read_back() {
        let primitive = PrimitiveId(7);
        assert_eq!(
            owned_primitive(&ownership(SessionId(9), primitive)),
            Some(primitive)
        );
        assert_eq!(own_key(&data(primitive, Record::Item, b"alice")), b"alice");
        let timer = TimerKey {
            deadline: LogTime(10),
            index: Index(20),
            ordinal: 30,
        };
        assert_eq!(TimerKey::decode(&timer.encode()), Some(timer));
        assert_eq!(TimerKey::decode(b"short"), None);
    }
}
