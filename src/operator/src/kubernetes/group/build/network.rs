//! Who reaches the pods of a partition, where the network of the cluster enforces policies.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use synod_api::{labels, names};
use synod_types::PartitionId;

use super::{metadata, pod_labels};

/// Only replicas of the partition speak to each other as such. Clients and the operator come from anywhere, and probes from
/// machines, which no selector names.
pub(super) fn policy(group: &str, partition: PartitionId) -> NetworkPolicy {
    let replicas =
        LabelSelector { match_labels: Some(pod_labels(group, partition)), ..LabelSelector::default() };
    let peers = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(replicas.clone()),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![port("peer")]),
    };
    let anybody = NetworkPolicyIngressRule { from: None, ports: Some(vec![port("client"), port("metrics")]) };
    let spec = NetworkPolicySpec {
        pod_selector: Some(replicas),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(vec![peers, anybody]),
        egress: None,
    };
    let metadata = metadata(names::partition(group, partition), labels::of_partition(group, partition));
    NetworkPolicy { metadata, spec: Some(spec) }
}

fn port(name: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    }
}
