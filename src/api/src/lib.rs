//! The Kubernetes API of Synod, group `synod.dev`: its kinds, the rules that objects must keep, and reading them
//! from files.
//!
//! The kinds are [`PartitionGroup`] and [`Primitive`]. What a field means and allows is written once, at the field:
//! the derives turn it into the schema of the custom resource definition ([`crds`]), and that schema, with its CEL
//! rules, is also what checks objects where no API server does ([`manifest::read`],
//! [`PartitionGroup::validate`]).
//!
//! Invariants:
//! - A file that [`manifest::read`] takes, `kubectl apply` takes, and the other way round; the few corners
//!   in which this side is stricter are listed in [`manifest`].
//! - Nothing weaker than the safe default is offered without saying so in its name (`Unsafe…`).
//! - Every list, string and number of a spec has a bound, so that the API server can bound the cost of the rules.
//!
//! What must not go here: a client of the API server, async, what a controller does with an object.

pub mod conditions;
mod crd;
pub mod labels;
pub mod manifest;
pub mod names;
mod partition_group;
mod primitive;
mod problem;
mod rule;
mod validation;

pub use crd::crds;
pub use partition_group::{
    DataLoss, Durability, LimitsSpec, MEMBERS_MAX, MemberRole, MemberStatus, PARTITIONS_MAX, PartitionGroup,
    PartitionGroupSpec, PartitionGroupStatus, PartitionPhase, PartitionStatus, PodSpec, ProtocolSpec,
    ProtocolType, REPLICAS_MAX, RaftSpec, RecoverySpec, SecuritySpec, StatusSummary, StorageSpec, TlsSpec,
    TlsType, UpdatePolicy, UpdateType, VolumePolicy,
};
pub use primitive::{DeletionPolicy, Primitive, PrimitiveKind, PrimitiveSpec, PrimitiveStatus};
pub use problem::{Location, Problem};

/// The API group of every kind.
pub const GROUP: &str = "synod.dev";

/// The version of every kind.
pub const VERSION: &str = "v1alpha1";

/// What `apiVersion` says in a manifest: [`GROUP`] and [`VERSION`].
pub const API_VERSION: &str = "synod.dev/v1alpha1";
