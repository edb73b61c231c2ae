//! The first stage: what the cluster holds of a group.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use synod_api::{PartitionGroup, names};
use synod_types::PartitionId;

use super::super::cache::Cache;
use super::birth::remembered;
use crate::membership::Genesis;

/// What the cluster holds of one partition.
pub(super) struct Found {
    pub(super) id: PartitionId,
    pub(super) set: Option<Arc<StatefulSet>>,
    /// A place for each replica that is asked for, and for each that is still there.
    pub(super) places: Vec<Place>,
    /// How the partition began, if it has; or why that cannot be told.
    pub(super) genesis: Result<Option<Genesis>, String>,
}

/// The place of one replica.
pub(super) struct Place {
    pub(super) ordinal: u32,
    /// Its pod, if there is one.
    pub(super) pod: Option<Arc<Pod>>,
    pub(super) claim: Option<Arc<PersistentVolumeClaim>>,
    /// Whether the spec asks for it.
    pub(super) desired: bool,
    /// What events say of why it has no pod, or no volume.
    pub(super) complaint: Option<String>,
}

impl Place {
    /// Whether no pod has ever written here: its claim has no volume yet.
    pub(super) fn is_empty(&self) -> bool {
        let never_ran = self.pod.as_ref().is_none_or(|pod| {
            pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none())
                && pod.metadata.deletion_timestamp.is_none()
        });
        never_ran && (self.claim.is_none() || self.claim_in("Pending").is_some())
    }

    /// Its claim, if it is in this phase.
    pub(super) fn claim_in(&self, phase: &str) -> Option<&PersistentVolumeClaim> {
        let is_in = |claim: &&PersistentVolumeClaim| {
            claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some(phase))
        };
        self.claim.as_deref().filter(is_in)
    }
}

/// Finds what the cluster holds of each partition, in the order of the ids. What belongs to another group, which had the
/// same name, is not seen.
pub(super) fn dereference(cache: &Cache, group: &PartitionGroup) -> Vec<Found> {
    let namespace = group.namespace().unwrap_or_default();
    let name = group.name_any();
    let uid = group.uid().unwrap_or_default();
    let find = |id: PartitionId| {
        let partition = names::partition(&name, id);
        let set = cache.sets.get(&ObjectRef::new(&partition).within(&namespace));
        let set = set.filter(|set| belongs_to(&**set, &uid));
        let set_uid = set.as_ref().and_then(|set| set.uid()).unwrap_or_default();
        let running = set.as_ref().map_or(0, |set| replicas(set));
        let place = |ordinal| {
            let pod_name = names::pod(&name, id, ordinal);
            let pod = cache.pods.get(&ObjectRef::new(&pod_name).within(&namespace));
            let claim_name = names::claim(&name, id, ordinal);
            Place {
                ordinal,
                pod: pod.filter(|pod| belongs_to(&**pod, &set_uid)),
                claim: cache.claims.get(&ObjectRef::new(&claim_name).within(&namespace)),
                desired: ordinal < group.spec.replicas,
                complaint: None,
            }
        };
        let configuration = cache.configurations.get(&ObjectRef::new(&partition).within(&namespace));
        let configuration = configuration.filter(|configuration| belongs_to(&**configuration, &uid));
        Found {
            id,
            places: (0..running.max(group.spec.replicas)).map(place).collect(),
            genesis: configuration.map(|configuration| remembered(&configuration)).transpose(),
            set,
        }
    };
    (0..group.spec.partitions).map(PartitionId).map(find).collect()
}

/// How many replicas a set is told to have.
pub(super) fn replicas(set: &StatefulSet) -> u32 {
    set.spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0)
}

pub(super) fn belongs_to(object: &impl Resource, uid: &str) -> bool {
    object.meta().owner_references.iter().flatten().any(|owner| owner.uid == uid)
}
