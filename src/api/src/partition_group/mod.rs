//! `PartitionGroup`: N partitions, each of R replicas of one log and one state.
#![expect(unreachable_pub, reason = "the derive of the schema repeats each struct inside a function")]

mod limits;
mod pod;
mod protocol;
mod recovery;
mod rules;
mod security;
mod spec;
mod status;
mod storage;

pub use limits::LimitsSpec;
pub use pod::PodSpec;
pub use protocol::{ProtocolSpec, ProtocolType, RaftSpec};
pub use recovery::{DataLoss, RecoverySpec};
pub use security::{SecuritySpec, TlsSpec, TlsType};
pub use spec::{
    Durability, MEMBERS_MAX, PARTITIONS_MAX, PartitionGroup, PartitionGroupSpec, REPLICAS_MAX, UpdatePolicy,
    UpdateType,
};
pub use status::{
    MemberRole, MemberStatus, PartitionGroupStatus, PartitionPhase, PartitionStatus, StatusSummary,
};
pub use storage::{StorageSpec, VolumePolicy};

#[cfg(test)]
mod tests;
