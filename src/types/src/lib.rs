//! The vocabulary of Synod: identities, positions in an order, time, slots, limits and errors.
//!
//! Every other crate speaks in these types, so they stay small and inert.
//!
//! Invariants:
//! - No I/O, no async, no clock and no randomness; [`Clock`] and [`Random`] are only the traits behind
//!   which a driver hides them.
//! - Every number that means something has its own type, so that a log index is never passed for a version.
//! - What is hashed here ([`slot_of`], [`PrimitiveId::of`]) is part of the persisted format: it never changes.
//!
//! What must not go here: anything that only one crate needs.

mod controller;
mod error;
mod ids;
mod kind;
mod limits;
mod name;
mod order;
mod slots;
mod time;

pub use controller::{CONTROLLER_CA_CONFIG_MAP, CONTROLLER_CA_KEY, CONTROLLER_SERVICE};
pub use error::{Error, ErrorCode, Result};
pub use ids::{MemberId, PartitionId, PrimitiveId, Sequence, SessionId};
pub use kind::PrimitiveKind;
pub use limits::Limits;
pub use name::{Application, DEFAULT_APPLICATION, DEFAULT_NAMESPACE, PrimitiveName, check_label};
pub use order::{Fence, Index, LogIndex, Position, Term, Version};
pub use slots::{Slot, SlotTable, fnv1a32, partition_of_new_group, slot_count, slot_of};
pub use time::{Clock, LogTime, Monotonic, Random};
