//! Changes as watchers see them.

use bytes::Bytes;
use synod_proto::primitive::v1::event::Event;
use synod_types::{Index, PrimitiveId};

/// One change of one primitive, before it gets its place in the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The command that made it; for a timer, the command that was about to be applied.
    pub index: Index,
    /// Whose change it is.
    pub primitive: PrimitiveId,
    /// What watchers may filter by: a map's key, a set's element, a lock's request id. Empty for the others.
    pub key: Bytes,
    /// What happened.
    pub event: Event,
}
