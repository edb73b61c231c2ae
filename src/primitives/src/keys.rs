//! Every key and value that this crate persists, with its format. One page, kept complete.
//!
//! Integers in keys are big-endian, so that byte order is numeric order. Every value starts with a format byte, and
//! every format that was ever written stays readable.
//!
//! | table | key | value | written by |
//! |---|---|---|---|
//! | `Registry` | `i` primitive(8) | 1, kind(1), `Description` message | create, delete |
//! | `Registry` | `n` application `\0` name | 1, primitive(8) | create, delete |
//! | `Ownership` | session(8) primitive(8) the kind's own key | 1 | locks and elections, for what a session holds |
//! | `Timers` | deadline ms(8) index(8) primitive(8) the kind's own key | 1 | TTLs, leases, waits |
//! | `Data` | primitive(8) record(1) the kind's own key | by kind, below | the kinds |
//!
//! What the kinds store in `Data`, by [`Record`]. A value in braces is 1, then a protobuf message with these fields in
//! this order; `?` marks what may be missing, and a timer is the message {deadline ms, index}.
//!
//! | kind | record | own key | value |
//! |---|---|---|---|
//! | counter | `Item` | none | 1, value (i64, little-endian) |
//! | value | `Item` | none | item |
//! | map | `Header` | none | 1, entries (u64, little-endian) |
//! | map | `Item` | key | item |
//! | set | `Header` | none | 1, elements (u64, little-endian) |
//! | set | `Item` | element | item, without bytes |
//! | lock | `Header` | none | {last fence, holders, whether they read, waiters, timer of the delay?} |
//! | lock | `Holder` | fence(8) | {request ids, session, lease?, metadata, delay ms} |
//! | lock | `Queue` | index(8) | {request id, session, reads, lease ms?, timer of the wait?, metadata, delay ms} |
//! | lock | `Request` | request id | {held: fence, or waiting: index, or ended: {reason, timer}} |
//! | election | `Header` | none | {term, leader {candidate, session}?} |
//! | election | `Queue` | order(8) | {candidate, session} |
//!
//! An item is 1, 0, version (u64, little-endian), bytes; or, if it expires, 1, 1, version, deadline ms (u64,
//! little-endian), bytes. A lease is the message {length ms, deadline ms, index}. Own keys in `Ownership` are request
//! ids and candidates. Own keys in `Timers` are, of a value, none; of a map or set, the key or element; of a lock, `l`
//! fence(8) for a lease, `w` index(8) for a wait, `d` for the delay, `e` request id for the memory of one that ended.
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
    /// The grants of a lock, by fence.
    Holder = 4,
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
pub(crate) fn ownership(session: SessionId, primitive: PrimitiveId, own: &[u8]) -> Vec<u8> {
    let (session, primitive) = (session.get().to_be_bytes(), primitive.get().to_be_bytes());
    [&session, &primitive, own].concat()
}

/// Everything that a session owns.
pub(crate) fn ownership_of(session: SessionId) -> KeyRange {
    KeyRange::prefix(session.get().to_be_bytes())
}

/// What a session owns of one primitive.
pub(crate) fn ownership_in(session: SessionId, primitive: PrimitiveId) -> KeyRange {
    KeyRange::prefix(ownership(session, primitive, b""))
}

/// The primitive and the kind's own key in a key of `Ownership`.
pub(crate) fn parse_ownership(key: &[u8]) -> Option<(PrimitiveId, &[u8])> {
    let (_, rest) = key.split_first_chunk::<8>()?;
    let (primitive, own) = rest.split_first_chunk::<8>()?;
    Some((PrimitiveId(u64::from_be_bytes(*primitive)), own))
}

/// When a timer fires, and which command set it. A primitive has at most one timer with the same two and the same
/// own key, so that the key of a timer is unique; and timers fire in the order of their keys (C6: by deadline, then by
/// creation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When it fires.
    pub deadline: LogTime,
    /// The command that set it.
    pub index: Index,
}

/// A key of `Timers`.
pub(crate) fn timer(timer: Timer, primitive: PrimitiveId, own: &[u8]) -> Vec<u8> {
    let (deadline, index) = (timer.deadline.get().to_be_bytes(), timer.index.get().to_be_bytes());
    [&deadline, &index, &primitive.get().to_be_bytes(), own].concat()
}

/// The timer, the primitive and the kind's own key in a key of `Timers`.
pub(crate) fn parse_timer(key: &[u8]) -> Option<(Timer, PrimitiveId, &[u8])> {
    let (deadline, rest) = key.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<8>()?;
    let (primitive, own) = rest.split_first_chunk::<8>()?;
    let timer =
        Timer { deadline: LogTime(u64::from_be_bytes(*deadline)), index: Index(u64::from_be_bytes(*index)) };
    Some((timer, PrimitiveId(u64::from_be_bytes(*primitive)), own))
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

/// A kind's own key within a key of `Data`.
pub(crate) fn own_key(key: &[u8]) -> &[u8] {
    key.get(9..).unwrap_or_default()
}

/// The number that is a kind's own key.
pub(crate) fn own_number(own: &[u8]) -> Option<u64> {
    own.try_into().ok().map(u64::from_be_bytes)
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
            ownership(SessionId(9), primitive, b"r"),
            b"\0\0\0\0\0\0\0\x09\x01\x02\x03\x04\x05\x06\x07\x08r"
        );
        assert_eq!(data(primitive, Record::Item, b"k"), b"\x01\x02\x03\x04\x05\x06\x07\x08\x01k");
        let own = timer(Timer { deadline: LogTime(1), index: Index(2) }, primitive, b"k");
        assert_eq!(own, b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\x01\x02\x03\x04\x05\x06\x07\x08k");
    }

    #[test]
    fn keys_read_back() {
        let primitive = PrimitiveId(7);
        let stored = ownership(SessionId(9), primitive, b"request");
        assert_eq!(parse_ownership(&stored), Some((primitive, &b"request"[..])));
        assert_eq!(own_key(&data(primitive, Record::Item, b"alice")), b"alice");
        let lease = Timer { deadline: LogTime(10), index: Index(20) };
        let stored = timer(lease, primitive, b"own");
        assert_eq!(parse_timer(&stored), Some((lease, primitive, &b"own"[..])));
        assert_eq!(parse_timer(b"short"), None);
    }
}
