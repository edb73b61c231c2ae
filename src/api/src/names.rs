//! The names of the objects that the operator makes for a group, and under which it writes.
//!
//! | object | name | example |
//! |---|---|---|
//! | Service of the group, ServiceAccount | `<group>` | `sample` |
//! | StatefulSet, client Service, PodDisruptionBudget, ConfigMap of a partition | `<group>-p<partition>` | `sample-p0` |
//! | headless Service of a partition | `<group>-p<partition>-peers` | `sample-p0-peers` |
//! | Secret with the key by which the operator signs certificates of the group | `<group>-ca` | `sample-ca` |
//! | Secret with the certificate of a partition | `<group>-p<partition>-tls` | `sample-p0-tls` |
//! | pod of a replica | `<group>-p<partition>-<ordinal>` | `sample-p0-2` |
//! | PersistentVolumeClaim of a replica | `data-<group>-p<partition>-<ordinal>` | `data-sample-p0-2` |
//!
//! Invariants:
//! - No two groups of a namespace share a name: a group may not be called like a partition of another one, so
//!   names that end in `-p<digits>` or `-p<digits>-peers` are refused.
//! - With [`GROUP_NAME_MAX`] characters and the most partitions, a StatefulSet's name still leaves Kubernetes
//!   the 11 characters that it appends in a label of at most 63.

use synod_types::PartitionId;

/// The most characters that the name of a group may have.
pub const GROUP_NAME_MAX: usize = 40;

/// The pattern of a group's name: a label that may also name a Service, so it begins with a letter (RFC 1035).
pub const GROUP_NAME_PATTERN: &str = "^[a-z]([a-z0-9-]*[a-z0-9])?$";

/// The pattern of the names that belong to partitions, which no group may take.
pub const PARTITION_NAME_PATTERN: &str = "-p[0-9]+(-peers)?$";

/// The field manager of what the operator writes for a `PartitionGroup`.
pub const PARTITION_GROUP_FIELD_MANAGER: &str = "synod-partition-group";

/// The field manager of what the operator writes for a `Primitive`.
pub const PRIMITIVE_FIELD_MANAGER: &str = "synod-primitive";

/// The StatefulSet of a partition, its client Service, its PodDisruptionBudget and its ConfigMap.
pub fn partition(group: &str, partition: PartitionId) -> String {
    format!("{group}-p{partition}")
}

/// The headless Service that gives the pods of a partition their DNS names.
pub fn headless_service(group: &str, partition: PartitionId) -> String {
    format!("{group}-p{partition}-peers")
}

/// The Secret with the key by which the operator signs the certificates of a group.
pub fn authority(group: &str) -> String {
    format!("{group}-ca")
}

/// The Secret with the certificate of the replicas of a partition.
pub fn certificate(group: &str, partition: PartitionId) -> String {
    format!("{group}-p{partition}-tls")
}

/// The pod of one replica.
pub fn pod(group: &str, partition: PartitionId, ordinal: u32) -> String {
    format!("{group}-p{partition}-{ordinal}")
}

/// The name of the volume of each replica, in its pod and in the templates of the StatefulSet.
pub const VOLUME: &str = "data";

/// The claim of the volume of one replica, as a StatefulSet names it.
pub fn claim(group: &str, partition: PartitionId, ordinal: u32) -> String {
    format!("{VOLUME}-{}", pod(group, partition, ordinal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition_group::{PARTITIONS_MAX, REPLICAS_MAX};

    #[test]
    fn the_longest_names_fit_where_kubernetes_puts_them() {
        let longest = "x".repeat(GROUP_NAME_MAX);
        let last = PartitionId(PARTITIONS_MAX - 1);
        let revision_hash = 11;
        assert!(partition(&longest, last).len() + revision_hash <= 63);
        for name in [headless_service(&longest, last), pod(&longest, last, REPLICAS_MAX - 1)] {
            assert!(synod_types::check_label("object", &name).is_ok(), "{name}");
        }
    }
}
