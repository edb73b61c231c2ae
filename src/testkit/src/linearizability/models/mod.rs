//! What each primitive should do, as models for the search.
//!
//! One file for each kind; [`primitives`] puts them together, so that one history may hold all kinds. Each models what
//! clients can see: answers and refusals, not events. The ends of sessions are operations of their own
//! ([`lock::Action::EndSession`], [`election::Action::EndSession`]): a client's close is one that was answered, and a
//! session that is no longer kept alive is one that was never answered, invoked at the first moment at which the
//! session may have expired. Whoever records a history records them for every lock and election that the session used.
//!
//! Times: what ends by itself (TTLs, leases, waits, delays) ends in the state of a model only when an operation says
//! so, and may do so from the moment on that the request allows at the earliest; see [`ClockBound`].

pub mod counter;
pub mod election;
mod entry;
pub mod lock;
pub mod map;
pub mod primitives;
pub mod register;
pub mod set;
pub mod value;

pub use crate::oracle::ClockBound;
pub use entry::{EntryAction, EntryAnswer, Versioned};

use std::fmt;

use synod_types::{ErrorCode, PartitionId, PrimitiveId};

/// What a primitive answers: a result of its kind, or a refusal.
pub type Answer<T> = Result<T, ErrorCode>;

/// The part of a map or set that lives on one partition of the group: what a length or a listing is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// The map or set.
    pub primitive: PrimitiveId,
    /// The partition.
    pub partition: PartitionId,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{}", self.primitive.get(), self.partition)
    }
}

/// A key of a map or an element of a set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// Where it lives.
    pub shard: Shard,
    /// The key or element itself.
    pub key: String,
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.shard, self.key)
    }
}

impl Shard {
    /// A key of this shard.
    pub fn item(self, key: impl Into<String>) -> ItemKey {
        ItemKey { shard: self, key: key.into() }
    }

    /// All keys of this shard.
    fn everything(self) -> crate::linearizability::Scope<ItemKey> {
        let Self { primitive, partition } = self;
        let next = match partition.get().checked_add(1) {
            Some(partition) => Some(Self { primitive, partition: PartitionId(partition) }),
            None => {
                let primitive = primitive.get().checked_add(1);
                primitive
                    .map(|primitive| Self { primitive: PrimitiveId(primitive), partition: PartitionId(0) })
            }
        };
        crate::linearizability::Scope::Range { from: self.item(""), to: next.map(|shard| shard.item("")) }
    }
}
