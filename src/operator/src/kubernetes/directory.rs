//! The groups of the cluster, for the controller service: what their status says.
//!
//! Every operator serves this, also one that does not act.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;
use synod_api::{MemberRole, MemberStatus, PartitionGroup, PartitionStatus, TlsType, conditions};
use synod_proto::controller::v1 as wire;
use synod_types::{DEFAULT_NAMESPACE, Error, ErrorCode, slot_count};
use tokio::sync::watch;

use crate::controller::{Catalog, Directory, Groups};

/// The groups of the cluster.
pub(super) struct ClusterDirectory {
    catalog: Catalog,
}

impl ClusterDirectory {
    pub(super) fn new() -> Self {
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        Self { catalog: Catalog::new(now_ms) }
    }

    /// Takes note of what a watch says of a group.
    pub(super) fn note(&self, event: &Event<PartitionGroup>, store: &Store<PartitionGroup>) {
        match event {
            Event::Init | Event::InitApply(_) => {}
            Event::Apply(group) => self.publish(group),
            Event::Delete(group) => self.catalog.remove(&namespace_of(group), &group.name_any()),
            Event::InitDone => {
                let groups = store.state();
                let known = self.catalog.subscribe().borrow().clone();
                let is_there = |key: &(String, String)| {
                    groups.iter().any(|group| namespace_of(group) == key.0 && group.name_any() == key.1)
                };
                for (namespace, name) in known.keys().filter(|key| !is_there(key)) {
                    self.catalog.remove(namespace, name);
                }
                groups.iter().for_each(|group| self.publish(group));
            }
        }
    }

    fn publish(&self, group: &PartitionGroup) {
        if let Some(group) = describe(group) {
            self.catalog.publish(group);
        }
    }
}

impl Directory for ClusterDirectory {
    fn groups(&self) -> watch::Receiver<Groups> {
        self.catalog.subscribe()
    }

    async fn create_group(&self, _: PartitionGroup) -> Result<(), Error> {
        let message = "on Kubernetes, groups are created by whoever may do so there: use kubectl apply";
        Err(Error::new(ErrorCode::Forbidden, message))
    }

    async fn delete_group(&self, _: &str, name: &str) -> Result<(), Error> {
        let message = format!(
            "on Kubernetes, groups are deleted by whoever may do so there: use kubectl delete partitiongroup {name}"
        );
        Err(Error::new(ErrorCode::Forbidden, message))
    }
}

fn namespace_of(group: &PartitionGroup) -> String {
    group.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// The group as clients see it, once the operator has said anything about it.
fn describe(group: &PartitionGroup) -> Option<wire::Group> {
    let status = group.status.as_ref().filter(|status| !status.partitions.is_empty())?;
    // Replicas that encrypt are not spoken to before it is known who vouches for them.
    let encrypts = group.spec.security.tls.tls_type != TlsType::PlainText;
    if encrypts != status.ca_pem.is_some() {
        return None;
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == conditions::READY);
    let is_ready = ready.is_some_and(|ready| ready.status == "True");
    Some(wire::Group {
        namespace: namespace_of(group),
        name: group.name_any(),
        revision: 0,
        protocol: format!("{:?}", group.spec.protocol.protocol),
        replicas: group.spec.replicas,
        // The API server takes no number of partitions that has no slots.
        slots: slot_count(group.spec.partitions).ok()?,
        moved_slots: Vec::new(),
        partitions: status.partitions.iter().map(partition).collect(),
        ready: is_ready,
        ca_pem: status.ca_pem.clone().unwrap_or_default(),
        message: ready.filter(|_| !is_ready).map(|ready| ready.message.clone()).unwrap_or_default(),
    })
}

fn partition(partition: &PartitionStatus) -> wire::Partition {
    wire::Partition {
        id: partition.id,
        leader: partition.leader.as_deref().map_or(0, id),
        term: partition.term,
        members: partition.members.iter().map(member).collect(),
    }
}

fn member(member: &MemberStatus) -> wire::Member {
    let role = match member.role {
        MemberRole::Unknown => wire::Role::Unspecified,
        MemberRole::Leader => wire::Role::Leader,
        MemberRole::Follower => wire::Role::Follower,
        MemberRole::Candidate => wire::Role::Candidate,
        MemberRole::Learner => wire::Role::Learner,
    };
    wire::Member {
        id: id(&member.id),
        node: member.node.clone(),
        role: role as i32,
        endpoint: member.endpoint.clone().unwrap_or_default(),
        ready: member.ready,
        lag: member.lag,
        message: member.message.clone().unwrap_or_default(),
    }
}

/// A member id; nobody's, if the text is none.
fn id(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}
