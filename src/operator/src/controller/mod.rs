//! The controller service (`synod.controller.v1`): where clients find groups.
//!
//! ```text
//!   whoever keeps the groups ──publish──► Catalog ──watch──► list, get, watch
//!            ▲                                                    │
//!            └──────────── Directory: create, delete ◄────────────┤
//!                    nodes of the group ◄──── primitives ◄────────┘
//! ```
//!
//! The service knows nothing of processes or pods: who keeps the groups implements [`Directory`], and publishes
//! in a [`Catalog`] what it sees.
//!
//! Invariants:
//! - A watcher gets each group as it is, then the newest state of each that changed. It has no queue: one that is slow
//!   skips what was in between, and costs nothing.
//! - Revisions grow, also from one run of a controller to the next.
//! - What somebody may not see, he is told nothing of: [`Access`] is asked before the catalog is.
//! - A primitive is created where its name lives before it is created anywhere else, so that two kinds never share
//!   a name; it is deleted there last.
//!
//! What must not go here: what to do about the members of a group.

mod access;
mod catalog;
mod describe;
mod directory;
mod primitives;
mod service;

#[cfg(test)]
mod tests;

pub use access::{Access, Resource, Reviews, Right, User, Verb};
pub use catalog::{Catalog, GroupKey, Groups};
pub use describe::{GroupView, PartitionView};
pub use directory::Directory;
pub use primitives::{PrimitiveKey, create_primitive, delete_primitive};
pub use service::ControllerService;
