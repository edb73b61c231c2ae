//! The labels by which everything that belongs to a group is found.

use std::collections::BTreeMap;

use synod_types::PartitionId;

/// Which program an object belongs to (a label that Kubernetes recommends).
pub const NAME: &str = "app.kubernetes.io/name";
/// Which instance of the program: the group.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Who writes the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The group that an object belongs to.
pub const GROUP: &str = "synod.dev/group";
/// The partition that an object belongs to.
pub const PARTITION: &str = "synod.dev/partition";

/// The labels of what belongs to the operators themselves.
pub fn of_operator() -> BTreeMap<String, String> {
    BTreeMap::from(
        [(NAME, "synod"), (MANAGED_BY, "synod-operator")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// The labels of everything that belongs to a group.
pub fn of_group(group: &str) -> BTreeMap<String, String> {
    BTreeMap::from(
        [(NAME, "synod"), (INSTANCE, group), (MANAGED_BY, "synod-operator"), (GROUP, group)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// The labels of everything that belongs to one partition of a group.
pub fn of_partition(group: &str, partition: PartitionId) -> BTreeMap<String, String> {
    let mut labels = of_group(group);
    labels.insert(PARTITION.to_owned(), partition.to_string());
    labels
}

/// The selector, as text, of all pods of a group.
pub fn pod_selector(group: &str) -> String {
    format!("{GROUP}={group}")
}
