//! The second stage: what the nodes say.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use synod_api::names;
use synod_proto::admin::v1::StatusResponse;
use synod_types::PartitionId;

use super::certificates::Certificates;
use super::dereference::{Found, Place};
use super::{CLIENT_PORT, PEER_PORT, Scope};
use crate::channel::Trust;
use crate::membership::{AdminChannel, Node, Nodes, Observation, Replica};

/// How long a node has to say how things are.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many nodes of a group are asked at a time.
const ASKED_AT_ONCE: usize = 64;

/// What is seen of one partition.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) observation: Observation,
    /// How to ask the nodes for something.
    pub(super) nodes: Nodes,
    /// The version that each node runs.
    pub(super) versions: BTreeMap<String, String>,
}

/// A connection, and what it was made from: the pod, its address, and whom to trust.
type Connection = ((String, Option<Trust>), AdminChannel);

/// The most connections that are kept: each takes 65 kB in plain text, and more if it is encrypted. Where there are more
/// nodes, the others are connected to for each look.
const CONNECTIONS_MAX: usize = 1_024;

/// Connections to nodes, kept from one look to the next.
#[derive(Debug, Default)]
pub(in super::super) struct Connections(Mutex<HashMap<String, Connection>>);

impl Connections {
    /// The connection to a pod.
    fn to(&self, pod: &Pod, ip: &str, trust: Option<Trust>) -> Option<AdminChannel> {
        let key = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        let identity = (format!("{} {ip}", pod.uid().unwrap_or_default()), trust);
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = connections.get(&key).filter(|(known, _)| *known == identity) {
            return Some(channel.clone());
        }
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let channel = AdminChannel::trusting(&format!("{host}:{CLIENT_PORT}"), identity.1.as_ref()).ok()?;
        if connections.len() < CONNECTIONS_MAX || connections.contains_key(&key) {
            connections.insert(key, (identity, channel.clone()));
        }
        Some(channel)
    }

    /// Forgets the pods of a group.
    pub(in super::super) fn forget(&self, namespace: &str, group: &str) {
        let prefix = format!("{namespace}/{group}-p");
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|key, _| !key.starts_with(&prefix));
    }
}

/// Asks all nodes of a group how things are.
pub(super) async fn observe(
    scope: &Scope,
    connections: &Connections,
    found: &[Found],
    certificates: &Certificates,
) -> Vec<Seen> {
    let mut asked = Vec::new();
    for (partition, place) in
        found.iter().flat_map(|found| found.places.iter().map(move |place| (found, place)))
    {
        let trust = certificates.ca_pem.as_ref().map(|ca_pem| Trust {
            ca_pem: ca_pem.clone(),
            host: Some(host(scope, partition.id, place.ordinal)),
        });
        let is_known = !certificates.uncertified.contains(&partition.id);
        let channel =
            Some(place).filter(|_| is_known).and_then(|place| connection(connections, place, trust));
        asked.push(ask(channel, scope.node(partition.id, place.ordinal)));
    }
    let mut answers = futures::stream::iter(asked).buffered(ASKED_AT_ONCE);
    let mut seen = Vec::with_capacity(found.len());
    for partition in found {
        let mut sight = Seen::default();
        for place in &partition.places {
            let (channel, status) = answers.next().await.unwrap_or_default();
            sight.add(scope, partition, place, channel, status);
        }
        seen.push(sight);
    }
    seen
}

/// Asks a node how things are.
async fn ask(channel: Option<AdminChannel>, name: String) -> (Option<AdminChannel>, Option<StatusResponse>) {
    let status = match &channel {
        Some(channel) => channel.status(PATIENCE).await.ok(),
        None => None,
    };
    // Behind an address of before may be somebody else by now.
    (channel, status.filter(|status| status.node == name))
}

/// How to reach the node of a place, if it runs.
fn connection(connections: &Connections, place: &Place, trust: Option<Trust>) -> Option<AdminChannel> {
    let pod = place.pod.as_deref()?;
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running");
    connections.to(pod, status.pod_ip.as_deref().filter(|_| runs)?, trust)
}

/// The name of a pod in the network.
fn host(scope: &Scope, partition: PartitionId, ordinal: u32) -> String {
    format!(
        "{}.{}.{}.svc",
        names::pod(&scope.name, partition, ordinal),
        names::headless_service(&scope.name, partition),
        scope.namespace
    )
}

impl Seen {
    fn add(
        &mut self,
        scope: &Scope,
        partition: &Found,
        place: &Place,
        channel: Option<AdminChannel>,
        status: Option<StatusResponse>,
    ) {
        let name = scope.node(partition.id, place.ordinal);
        let host = host(scope, partition.id, place.ordinal);
        let of_status = |status| Replica::of_status(status, &scope.label(), partition.id);
        self.observation.nodes.push(Node {
            name: name.clone(),
            peer_address: format!("{host}:{PEER_PORT}"),
            client_address: format!("{host}:{CLIENT_PORT}"),
            desired: place.desired,
            replica: status.as_ref().map_or(Replica::Unreachable, of_status),
        });
        if let Some(channel) = channel {
            self.nodes.insert(&name, channel);
        }
        if let Some(status) = status {
            self.versions.insert(name, status.version);
        }
    }
}
