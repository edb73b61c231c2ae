//! The StatefulSet of a partition.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use synod_api::{PartitionGroupSpec, StorageSpec, VolumePolicy, labels, names};

use super::super::Scope;
use super::{PartitionSize, metadata, pod_labels, pods};

/// The StatefulSet of a partition. Its pods start together, because a partition begins only when all are there; and they
/// are replaced only when the operator deletes them, because it knows which one can be spared.
pub(super) fn build(
    scope: &Scope,
    spec: &PartitionGroupSpec,
    image: &str,
    partition: &PartitionSize,
) -> StatefulSet {
    let group = &scope.name;
    let selector =
        LabelSelector { match_labels: Some(pod_labels(group, partition.id)), ..LabelSelector::default() };
    let set = StatefulSetSpec {
        replicas: i32::try_from(partition.pods).ok(),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: Some(policy(spec.storage.when_deleted)),
            when_scaled: Some(policy(spec.storage.when_scaled)),
        }),
        revision_history_limit: Some(3),
        selector,
        service_name: Some(names::headless_service(group, partition.id)),
        template: pods::template(scope, spec, image, partition.id),
        volume_claim_templates: Some(vec![claim(&spec.storage, partition)]),
        ..StatefulSetSpec::default()
    };
    let metadata = metadata(names::partition(group, partition.id), labels::of_partition(group, partition.id));
    StatefulSet { metadata, spec: set, ..StatefulSet::default() }
}

fn policy(policy: VolumePolicy) -> String {
    match policy {
        VolumePolicy::Retain => "Retain".to_owned(),
        VolumePolicy::Delete => "Delete".to_owned(),
    }
}

fn claim(storage: &StorageSpec, partition: &PartitionSize) -> PersistentVolumeClaim {
    let size = partition.claimed.clone().unwrap_or_else(|| storage.size.clone());
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size))])),
            ..VolumeResourceRequirements::default()
        }),
        storage_class_name: storage.storage_class_name.clone(),
        ..PersistentVolumeClaimSpec::default()
    };
    // The set gives claims the labels of its selector.
    PersistentVolumeClaim {
        metadata: metadata(names::VOLUME, BTreeMap::new()),
        spec: Some(spec),
        ..PersistentVolumeClaim::default()
    }
}
