//! The controller of StatefulSets, and the kubelets: pods and claims are made as a set says, run at once, and end at once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;

use super::members::Members;

/// The label by which a pod tells what it was made from.
const REVISION: &str = "controller-revision-hash";

struct Context {
    client: Client,
    members: Arc<Members>,
}

/// Keeps all sets, for ever.
pub(super) async fn keep(client: Client, members: Arc<Members>) {
    let context = Arc::new(Context { client: client.clone(), members });
    let sets: Api<StatefulSet> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client);
    Controller::new(sets, watcher::Config::default())
        .owns(pods, watcher::Config::default())
        .with_config(Config::default().debounce(Duration::from_millis(50)).concurrency(16))
        .run(
            async |set, context| look(&set, &context).await.map(|()| Action::await_change()),
            |_, _, _| Action::requeue(Duration::from_millis(200)),
            context,
        )
        .for_each(|_| futures::future::ready(()))
        .await;
}

async fn look(set: &StatefulSet, context: &Context) -> Result<(), kube::Error> {
    let keeper = Keeper { set, context, namespace: set.namespace().unwrap_or_default() };
    let replicas = set.spec.replicas.unwrap_or(1);
    for ordinal in 0..replicas {
        keeper.claim(ordinal).await?;
        keeper.pod(ordinal).await?;
    }
    let mut surplus = replicas;
    while keeper.end(surplus).await? {
        surplus += 1;
    }
    keeper.report().await
}

struct Keeper<'a> {
    set: &'a StatefulSet,
    context: &'a Context,
    namespace: String,
}

impl Keeper<'_> {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.context.client.clone(), &self.namespace)
    }

    fn name(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.set.name_any())
    }

    /// What a set says about pods, in short.
    fn revision(&self) -> String {
        let template = serde_json::to_vec(&self.set.spec.template).unwrap();
        format!("{:08x}", crc32c::crc32c(&template))
    }

    async fn claim(&self, ordinal: i32) -> Result<(), kube::Error> {
        let template = self.set.spec.volume_claim_templates.iter().flatten().next();
        let mut claim = template.cloned().unwrap_or_default();
        let name = claim.name_any();
        claim.metadata = ObjectMeta {
            name: Some(format!("{name}-{}", self.name(ordinal))),
            labels: self.set.spec.selector.match_labels.clone(),
            ..ObjectMeta::default()
        };
        claim.status = None;
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.context.client.clone(), &self.namespace);
        match claims.create(&PostParams::default(), &claim).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(()),
            done => done.map(drop),
        }
    }

    async fn pod(&self, ordinal: i32) -> Result<(), kube::Error> {
        let name = self.name(ordinal);
        let node = format!("{}/{name}", self.namespace);
        let pod = match self.pods().get_opt(&name).await? {
            Some(_) if self.context.members.is_cut_off(&node) => return Ok(()),
            Some(pod) if pod.metadata.deletion_timestamp.is_some() => {
                return self.end(ordinal).await.map(drop);
            }
            Some(pod) => pod,
            None => self.pods().create(&PostParams::default(), &self.template(ordinal)).await?,
        };
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running") {
            return Ok(());
        }
        let address = self.context.members.start(&node).to_string();
        let status = json!({
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        });
        let patch = Patch::Merge(json!({"status": status}));
        self.pods().patch_status(&name, &PatchParams::default(), &patch).await.map(drop)
    }

    fn template(&self, ordinal: i32) -> Pod {
        let template = self.set.spec.template.clone();
        let mut labels = template.metadata.as_ref().and_then(|it| it.labels.clone()).unwrap_or_default();
        labels.insert(REVISION.to_owned(), self.revision());
        let metadata = ObjectMeta {
            name: Some(self.name(ordinal)),
            labels: Some(labels),
            annotations: template.metadata.and_then(|metadata| metadata.annotations),
            owner_references: self.set.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        let mut spec = template.spec.unwrap_or_default();
        spec.node_name = Some(format!("machine-{ordinal}"));
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{}", self.name(ordinal))}});
        spec.volumes = Some(vec![serde_json::from_value(claim).unwrap()]);
        Pod { metadata, spec: Some(spec), status: None }
    }

    /// Ends a pod. Tells whether it was there.
    async fn end(&self, ordinal: i32) -> Result<bool, kube::Error> {
        let name = self.name(ordinal);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        match self.pods().delete(&name, &now).await {
            Ok(_) => {
                self.context.members.stop(&format!("{}/{name}", self.namespace));
                Ok(true)
            }
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn report(&self) -> Result<(), kube::Error> {
        let revision = self.revision();
        let status = self.set.status.as_ref();
        let is_said = |status: &&k8s_openapi::api::apps::v1::StatefulSetStatus| {
            status.update_revision.as_ref() == Some(&revision)
                && status.observed_generation == self.set.metadata.generation
        };
        if status.filter(is_said).is_some() {
            return Ok(());
        }
        let status = json!({
            "observedGeneration": self.set.metadata.generation,
            "replicas": self.set.spec.replicas,
            "updateRevision": revision,
        });
        let sets: Api<StatefulSet> = Api::namespaced(self.context.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        match sets.patch_status(&self.set.name_any(), &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(()),
            done => done.map(drop),
        }
    }
}
