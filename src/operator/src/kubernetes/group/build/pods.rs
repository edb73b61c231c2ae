//! The pods of a partition.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector,
    PodSecurityContext, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use synod_api::{PartitionGroupSpec, PodSpec, TlsType, labels, names};
use synod_types::PartitionId;

use super::super::{CLIENT_PORT, METRICS_PORT, PEER_PORT, Scope};
use super::pod_labels;

/// Where the volume is mounted.
const VOLUME_PATH: &str = "/var/lib/synod";

/// Where the certificate of the partition is mounted, and the name of that volume.
const TLS_PATH: &str = "/etc/synod/tls";
const TLS_VOLUME: &str = "tls";

/// Nobody's user, as images without any users have it.
const USER: i64 = 65_532;

/// How long a replica has to hand over and stop.
const GRACE_SECONDS: i64 = 30;

/// The pods of a partition, under Pod Security `restricted`.
pub(super) fn template(
    scope: &Scope,
    spec: &PartitionGroupSpec,
    image: &str,
    partition: PartitionId,
) -> PodTemplateSpec {
    let pod = spec.pod.clone().unwrap_or_default();
    let mut labels = pod.labels.clone();
    labels.extend(labels::of_partition(&scope.name, partition));
    let container = container(scope, spec, &pod, image, partition);
    let volumes = encrypts(spec).then(|| vec![tls_volume(&scope.name, partition)]);
    let account = pod.service_account_name.clone().unwrap_or_else(|| scope.name.clone());
    let spread = if pod.topology_spread_constraints.is_empty() {
        spread(&scope.name, partition)
    } else {
        pod.topology_spread_constraints
    };
    let spec = k8s_openapi::api::core::v1::PodSpec {
        containers: vec![container],
        volumes,
        image_pull_secrets: some(pod.image_pull_secrets),
        service_account_name: Some(account),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(pod.security_context.unwrap_or_else(security)),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        node_selector: Some(pod.node_selector).filter(|selector| !selector.is_empty()),
        affinity: pod.affinity,
        tolerations: some(pod.tolerations),
        topology_spread_constraints: Some(spread),
        priority_class_name: pod.priority_class_name,
        ..Default::default()
    };
    let metadata = ObjectMeta {
        labels: Some(labels),
        annotations: Some(pod.annotations).filter(|annotations| !annotations.is_empty()),
        ..ObjectMeta::default()
    };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn container(
    scope: &Scope,
    spec: &PartitionGroupSpec,
    pod: &PodSpec,
    image: &str,
    partition: PartitionId,
) -> Container {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        ..ContainerPort::default()
    };
    let mut env = variables(scope, spec, partition);
    env.extend(pod.env.iter().cloned());
    Container {
        name: "synod".to_owned(),
        image: Some(pod.image.clone().unwrap_or_else(|| image.to_owned())),
        args: Some(vec!["node".to_owned()]),
        env: Some(env),
        ports: Some(vec![
            port("client", CLIENT_PORT),
            port("peer", PEER_PORT),
            port("metrics", METRICS_PORT),
        ]),
        resources: pod.resources.clone(),
        volume_mounts: Some(mounts(spec)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn encrypts(spec: &PartitionGroupSpec) -> bool {
    spec.security.tls.tls_type != TlsType::PlainText
}

fn mounts(spec: &PartitionGroupSpec) -> Vec<VolumeMount> {
    let data = VolumeMount {
        name: names::VOLUME.to_owned(),
        mount_path: VOLUME_PATH.to_owned(),
        ..VolumeMount::default()
    };
    let tls = VolumeMount {
        name: TLS_VOLUME.to_owned(),
        mount_path: TLS_PATH.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    if encrypts(spec) { vec![data, tls] } else { vec![data] }
}

/// The volume with the certificate of the partition. What changes in the Secret reaches the pod without a restart.
fn tls_volume(group: &str, partition: PartitionId) -> Volume {
    let secret = SecretVolumeSource {
        secret_name: Some(names::certificate(group, partition)),
        ..SecretVolumeSource::default()
    };
    Volume { name: TLS_VOLUME.to_owned(), secret: Some(secret), ..Volume::default() }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// What the replica is told. The directory on the volume is named by the uid of the group: a group that is created anew
/// under the same name begins anew, also if it gets the volumes of the old one.
fn variables(scope: &Scope, spec: &PartitionGroupSpec, partition: PartitionId) -> Vec<EnvVar> {
    let value =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let own_name = EnvVarSource {
        field_ref: Some(ObjectFieldSelector {
            field_path: "metadata.name".to_owned(),
            ..ObjectFieldSelector::default()
        }),
        ..EnvVarSource::default()
    };
    let host =
        format!("$(SYNOD_POD).{}.{}.svc", names::headless_service(&scope.name, partition), scope.namespace);
    let raft = spec.protocol.raft();
    let mut variables = vec![
        EnvVar { name: "SYNOD_POD".to_owned(), value_from: Some(own_name), ..EnvVar::default() },
        value("SYNOD_NODE_NAME", format!("{}/$(SYNOD_POD)", scope.namespace)),
        value("SYNOD_DATA_DIR", format!("{VOLUME_PATH}/{}", scope.uid)),
        value("SYNOD_CLIENT_LISTEN", format!("0.0.0.0:{CLIENT_PORT}")),
        value("SYNOD_PEER_LISTEN", format!("0.0.0.0:{PEER_PORT}")),
        value("SYNOD_METRICS_LISTEN", format!("0.0.0.0:{METRICS_PORT}")),
        value("SYNOD_CLIENT_ADDRESS", format!("{host}:{CLIENT_PORT}")),
        value("SYNOD_PEER_ADDRESS", format!("{host}:{PEER_PORT}")),
        value("SYNOD_HEARTBEAT_MS", raft.heartbeat_ms.to_string()),
        value("SYNOD_ELECTION_TIMEOUT_MS", raft.election_timeout_ms.to_string()),
        value("SYNOD_LOG_FORMAT", "json".to_owned()),
    ];
    if encrypts(spec) {
        variables.push(value("SYNOD_TLS_DIR", TLS_PATH.to_owned()));
    }
    variables
}

fn security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// No machine gets a second replica of a partition while another one could take it, because a group is to go on when any
/// one machine is lost. Zones are spread over as far as there are any. Two rules of one kind would not do: where one is
/// only wished for, it counts for nothing on machines that lack the label of another, and few clusters have zones.
fn spread(group: &str, partition: PartitionId) -> Vec<TopologySpreadConstraint> {
    let over = |topology_key: &str, when_unsatisfiable: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: when_unsatisfiable.to_owned(),
        // A machine that is drained or out of order takes none, so it does not count.
        node_taints_policy: Some("Honor".to_owned()),
        label_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from_iter(pod_labels(group, partition))),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    };
    vec![
        over("kubernetes.io/hostname", "DoNotSchedule"),
        over("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]
}
