//! Positions in an order: terms, log indexes, command indexes and what is derived from them.
//!
//! Two orders exist in a partition. The **log** orders batches, and [`LogIndex`] counts them: it is what
//! replication speaks of. The **commands** inside the batches are what users see, and [`Index`] counts those:
//! versions, fences and session ids are command indexes. Both only grow and survive snapshots.

use std::fmt;

use crate::ids::number;

number! {
    /// A leader's period in office (raft thesis §3.3). 0 is before the first election.
    Term, u64
}

number! {
    /// The position of an entry, which is a batch of commands, in the replicated log of a partition. The
    /// first entry has index 1, which is always the genesis of the partition.
    LogIndex, u64
}

number! {
    /// The position of a command in the order of a partition: 1, 2, 3… Never reused, never goes back.
    Index, u64
}

number! {
    /// The [`Index`] of the command that last changed an item. Unique and growing within a partition, not
    /// consecutive, not comparable between partitions. 0 means "no version".
    Version, u64
}

number! {
    /// A fencing token: the [`Index`] of the command that granted a lock, or the term of an election. A
    /// resource that remembers the greatest fence it has seen can refuse every earlier holder.
    Fence, u64
}

number! {
    /// The position of a change in the event history of a partition. A watcher resumes after the last position
    /// it has seen. Position 1 is the birth of the partition and the first change has 2, so that 0, which stands
    /// for "from now on", is never where somebody is.
    Position, u64
}

macro_rules! counting {
    ($($name:ident),*) => {$(
        impl $name {
            /// The position that follows this one.
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The position before this one, or 0.
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }
    )*};
}
counting!(Term, LogIndex, Index, Position);

impl From<Index> for Version {
    fn from(index: Index) -> Self {
        Self(index.0)
    }
}

impl From<Index> for Fence {
    fn from(index: Index) -> Self {
        Self(index.0)
    }
}
