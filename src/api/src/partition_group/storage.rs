//! The volumes of a group.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{size_is_enough, size_is_quantity, size_only_grows, storage_class_stays};

/// The volumes of the replicas. `synod dev` keeps its data in a directory and uses none of this.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = storage_class_stays())]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// The size of each replica's volume, as in `10Gi`: at least 1Gi. It can grow later, where the storage class
    /// allows it, and never shrink.
    #[serde(default = "default_size")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = size_is_quantity(),
        validation = size_is_enough(),
        validation = size_only_grows()
    )]
    pub size: String,

    /// The storage class of the volumes; the cluster's default class if it is left out. It cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What happens to the volumes when the group is deleted. `Retain`: they stay, with all data. `Delete`: they go.
    #[serde(default)]
    pub when_deleted: VolumePolicy,

    /// What happens to the volume of a replica that is scaled away. `Retain`: it stays, although a replica that
    /// comes back later starts anew and does not use what is on it. `Delete`: it goes, once the member is out of its
    /// partition.
    #[serde(default)]
    pub when_scaled: VolumePolicy,
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self {
            size: default_size(),
            storage_class_name: None,
            when_deleted: VolumePolicy::default(),
            when_scaled: VolumePolicy::default(),
        }
    }
}

/// What happens to a volume that is no longer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumePolicy {
    /// It stays until somebody deletes it.
    #[default]
    Retain,
    /// It is deleted with its data.
    Delete,
}

fn default_size() -> String {
    "10Gi".to_owned()
}
