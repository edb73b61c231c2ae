//! The fifth stage: every object of a group, as it should be. Pure.

mod network;
mod pods;
mod sets;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use synod_api::{PartitionGroupSpec, labels, names};
use synod_types::PartitionId;

use super::{CLIENT_PORT, METRICS_PORT, PEER_PORT, Scope};

/// Every object of a group.
pub(super) struct Objects {
    pub(super) account: Option<ServiceAccount>,
    pub(super) services: Vec<Service>,
    pub(super) budgets: Vec<PodDisruptionBudget>,
    pub(super) policies: Vec<NetworkPolicy>,
    pub(super) sets: Vec<StatefulSet>,
}

/// A partition, as its set is to be.
pub(super) struct PartitionSize {
    pub(super) id: PartitionId,
    /// How many pods it has.
    pub(super) pods: u32,
    /// The size of the volumes with which its set was made, if it was: a set never changes that. Claims are grown one by one.
    pub(super) claimed: Option<String>,
}

/// Builds every object of a group. `image` is that of the operator.
pub(super) fn build(
    scope: &Scope,
    spec: &PartitionGroupSpec,
    image: &str,
    partitions: &[PartitionSize],
) -> Objects {
    let own_account = spec.pod.as_ref().is_none_or(|pod| pod.service_account_name.is_none());
    let mut services = vec![group_service(&scope.name)];
    for partition in partitions {
        services.push(client_service(&scope.name, partition.id));
        services.push(headless_service(&scope.name, partition.id));
    }
    Objects {
        account: own_account.then(|| account(&scope.name)),
        services,
        budgets: partitions.iter().map(|partition| budget(&scope.name, partition.id)).collect(),
        policies: partitions.iter().map(|partition| network::policy(&scope.name, partition.id)).collect(),
        sets: partitions.iter().map(|partition| sets::build(scope, spec, image, partition)).collect(),
    }
}

fn metadata(name: impl Into<String>, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), labels: Some(labels), ..ObjectMeta::default() }
}

/// The labels by which the pods of a partition are selected: those that never change.
fn pod_labels(group: &str, partition: PartitionId) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::GROUP.to_owned(), group.to_owned()),
        (labels::PARTITION.to_owned(), partition.to_string()),
    ])
}

fn account(group: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(group, labels::of_group(group)),
        // The replicas ask nothing of the API server.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number.into(),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}

/// Any ready replica of the group: each passes requests on to who leads.
fn group_service(group: &str) -> Service {
    let selector = BTreeMap::from([(labels::GROUP.to_owned(), group.to_owned())]);
    let spec = ServiceSpec {
        selector: Some(selector),
        ports: Some(vec![port("client", CLIENT_PORT)]),
        ..ServiceSpec::default()
    };
    Service { metadata: metadata(group, labels::of_group(group)), spec: Some(spec), ..Service::default() }
}

/// Any ready replica of one partition.
fn client_service(group: &str, partition: PartitionId) -> Service {
    let spec = ServiceSpec {
        selector: Some(pod_labels(group, partition)),
        ports: Some(vec![port("client", CLIENT_PORT)]),
        ..ServiceSpec::default()
    };
    let metadata = metadata(names::partition(group, partition), labels::of_partition(group, partition));
    Service { metadata, spec: Some(spec), ..Service::default() }
}

/// The names of the replicas of one partition, also of those that are not ready: they find each other by these before
/// any of them is.
fn headless_service(group: &str, partition: PartitionId) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        selector: Some(pod_labels(group, partition)),
        ports: Some(vec![
            port("client", CLIENT_PORT),
            port("peer", PEER_PORT),
            port("metrics", METRICS_PORT),
        ]),
        ..ServiceSpec::default()
    };
    let metadata =
        metadata(names::headless_service(group, partition), labels::of_partition(group, partition));
    Service { metadata, spec: Some(spec), ..Service::default() }
}

/// One replica of a partition may be evicted at a time.
fn budget(group: &str, partition: PartitionId) -> PodDisruptionBudget {
    let selector =
        LabelSelector { match_labels: Some(pod_labels(group, partition)), ..LabelSelector::default() };
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(selector),
        // One that does not serve anyway keeps no machine from being drained.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    let metadata = metadata(names::partition(group, partition), labels::of_partition(group, partition));
    PodDisruptionBudget { metadata, spec: Some(spec), ..PodDisruptionBudget::default() }
}
