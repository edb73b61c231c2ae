//! What the API server holds, kept up to date by watches.
//!
//! Everything that is read of the cluster is read from here. It may be a moment behind, so nothing may depend on its
//! being current: what must happen once is decided by the API server (create, or a precondition).

use std::any::Any;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector as reflect};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use synod_api::{PartitionGroup, Primitive, labels};
use tokio::task::JoinSet;

use super::directory::ClusterDirectory;
use super::triggers::Triggers;

/// Groups to look at.
pub(super) type GroupTriggers = Arc<Triggers<ObjectRef<PartitionGroup>>>;
/// Primitives to look at.
pub(super) type PrimitiveTriggers = Arc<Triggers<ObjectRef<Primitive>>>;

/// What the API server holds.
pub(super) struct Cache {
    pub(super) groups: Store<PartitionGroup>,
    pub(super) primitives: Store<Primitive>,
    pub(super) accounts: Store<ServiceAccount>,
    pub(super) services: Store<Service>,
    pub(super) budgets: Store<PodDisruptionBudget>,
    pub(super) policies: Store<NetworkPolicy>,
    pub(super) configurations: Store<ConfigMap>,
    /// Those that the operator made, and no others.
    pub(super) secrets: Store<Secret>,
    pub(super) sets: Store<StatefulSet>,
    pub(super) pods: Store<Pod>,
    pub(super) claims: Store<PersistentVolumeClaim>,
}

/// What watches tell of changes.
pub(super) struct Listeners {
    pub(super) groups: GroupTriggers,
    pub(super) primitives: PrimitiveTriggers,
    pub(super) directory: Arc<ClusterDirectory>,
}

impl Cache {
    /// Begins to watch. The watches run as `tasks`, and never end.
    pub(super) fn start(
        client: &Client,
        namespace: Option<&str>,
        listeners: Listeners,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let Listeners { groups, primitives, directory } = listeners;
        let mut watches = Watches { client, namespace, tasks };
        let declared = groups.clone();
        let known = watches.start(watcher::Config::default(), move |event, store| {
            directory.note(event, store);
            each_declared(event, store, |group| declared.push(ObjectRef::from_obj(group)));
        });
        let primitives_store = watches.start(watcher::Config::default(), move |event, store| {
            each_declared(event, store, |primitive| primitives.push(ObjectRef::from_obj(primitive)));
        });
        Arc::new(Self {
            primitives: primitives_store,
            accounts: watches.children(&groups, &known),
            services: watches.children(&groups, &known),
            budgets: watches.children(&groups, &known),
            policies: watches.children(&groups, &known),
            configurations: watches.children(&groups, &known),
            secrets: watches.children(&groups, &known),
            sets: watches.children(&groups, &known),
            pods: watches.children(&groups, &known),
            claims: watches.children(&groups, &known),
            groups: known,
        })
    }

    /// Returns when everything has been listed once. It waits as long as a kind cannot be listed: the log says why.
    pub(super) async fn ready(&self) {
        let Self {
            groups,
            primitives,
            accounts,
            services,
            budgets,
            policies,
            configurations,
            secrets,
            sets,
            pods,
            claims,
        } = self;
        // The writers live in tasks that never end.
        let _ = tokio::join!(
            groups.wait_until_ready(),
            primitives.wait_until_ready(),
            accounts.wait_until_ready(),
            services.wait_until_ready(),
            budgets.wait_until_ready(),
            policies.wait_until_ready(),
            configurations.wait_until_ready(),
            secrets.wait_until_ready(),
            sets.wait_until_ready(),
            pods.wait_until_ready(),
            claims.wait_until_ready(),
        );
    }
}

/// A kind that people write.
trait Declared {
    /// The generation of the spec that the operator last acted on.
    fn observed_generation(&self) -> Option<i64>;
}

impl Declared for PartitionGroup {
    fn observed_generation(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.observed_generation)
    }
}

impl Declared for Primitive {
    fn observed_generation(&self) -> Option<i64> {
        self.status.as_ref().and_then(|status| status.observed_generation)
    }
}

/// The objects that an event is about and that somebody changed since the operator last acted on them: what it writes
/// itself, the status, is no reason to look again. All of them, when all are listed: whoever looks before that sees what
/// was there before.
fn each_declared<K>(event: &Event<K>, store: &Store<K>, mut visit: impl FnMut(&K))
where
    K: Declared + Resource<DynamicType = ()> + Clone + 'static,
{
    match event {
        Event::InitDone => store.state().iter().for_each(|object| visit(object)),
        Event::Apply(object) => {
            let is_news = object.observed_generation() != object.meta().generation;
            if is_news || object.meta().deletion_timestamp.is_some() {
                visit(object);
            }
        }
        Event::Delete(_) | Event::Init | Event::InitApply(_) => {}
    }
}

/// Drops what is of no use here. Who wrote which field is the greater part of an object. What a pod runs, and how, is known
/// from its set.
fn slim<K: Resource + 'static>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    if let Some(spec) = (object as &mut dyn Any).downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
        let (node_name, readiness_gates) = (spec.node_name.take(), spec.readiness_gates.take());
        *spec = PodSpec { node_name, readiness_gates, ..PodSpec::default() };
    }
}

struct Watches<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    tasks: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    fn start<K>(
        &mut self,
        config: watcher::Config,
        mut listen: impl FnMut(&Event<K>, &Store<K>) + Send + 'static,
    ) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Eq + Hash,
    {
        let api: Api<K> = match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let (reader, writer) = reflector::store();
        let store = reader.clone();
        let events = kube::runtime::watcher(api, config).default_backoff();
        let slim = events.modify(slim);
        let mut events = Box::pin(reflect(writer, slim));
        self.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => listen(&event, &store),
                    Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "the watch is interrupted"),
                }
            }
        });
        reader
    }

    /// The objects of one kind that the operator made. A change of one is a reason to look at its group; when all were
    /// listed, some may be gone, whoever they belonged to.
    fn children<K>(&mut self, groups: &GroupTriggers, known: &Store<PartitionGroup>) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (groups, known) = (groups.clone(), known.clone());
        let ours = watcher::Config::default().labels(labels::GROUP);
        self.start(ours, move |event: &Event<K>, _| match event {
            Event::Apply(child) | Event::Delete(child) => {
                let group = child.labels().get(labels::GROUP).zip(child.namespace());
                if let Some((name, namespace)) = group {
                    groups.push(ObjectRef::new(name).within(&namespace));
                }
            }
            Event::InitDone => {
                known.state().iter().for_each(|group| groups.push(ObjectRef::from_obj(&**group)))
            }
            Event::Init | Event::InitApply(_) => {}
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_pod_stays_what_is_read_and_of_others_all_but_who_wrote_it() {
        let metadata = json!({"name": "a", "managedFields": [{"manager": "kubelet"}]});
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {
                "nodeName": "m", "readinessGates": [{"conditionType": "c"}],
                "containers": [{"name": "synod", "image": "i"}], "volumes": [{"name": "data"}],
            },
            "status": {"podIP": "10.0.0.1"},
        }))
        .unwrap();
        slim(&mut pod);
        let left = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [], "nodeName": "m", "readinessGates": [{"conditionType": "c"}]},
            "status": {"podIP": "10.0.0.1"},
        });
        assert_eq!(serde_json::to_value(&pod).unwrap(), left);

        let spec = json!({"selector": {"a": "b"}});
        let service = json!({"metadata": metadata, "spec": spec});
        let mut service: Service = serde_json::from_value(service).unwrap();
        slim(&mut service);
        let left = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
        assert_eq!(serde_json::to_value(&service).unwrap(), left);
    }
}
