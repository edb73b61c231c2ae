//! One run: a group from its creation to its end, with an operator that may die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use synod_api::{PartitionGroup, Primitive};
use tokio::time::{Instant, sleep};

use super::state::{self, Snapshot, TOUCHED};
use crate::control_plane::ControlPlane;
use crate::fuse::{Fuse, Moment};
use crate::proxy::{Fate, Proxy};
use crate::simulation::Simulation;

/// How long each stage may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Story {
    /// A group begins, grows, is rolled and deleted.
    Life,
    /// A group gets its certificates, and the objects with which it would begin.
    Certificates,
}

/// A run that nothing has disturbed.
pub(super) struct Undisturbed {
    pub(super) steps: Vec<String>,
    /// How things were at the end of each stage.
    pub(super) stages: Vec<Snapshot>,
}

pub(super) struct Run<'a> {
    plane: &'a ControlPlane,
    simulation: &'a Simulation,
    story: Story,
    death: Option<(usize, Moment)>,
    namespace: String,
    fuse: Arc<Fuse>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        plane: &'a ControlPlane,
        simulation: &'a Simulation,
        story: Story,
        death: Option<(usize, Moment)>,
    ) -> Self {
        let namespace = death
            .map_or("undisturbed".to_owned(), |(step, moment)| format!("{moment:?}-{step}").to_lowercase());
        Self { plane, simulation, story, death, namespace, fuse: Arc::new(Fuse::new(death)) }
    }

    /// Lets an operator live, and tells what it did.
    pub(super) async fn undisturbed(self) -> Undisturbed {
        let stages = self.tell(None).await;
        Undisturbed { steps: self.fuse.steps(), stages }
    }

    /// Lets an operator die, and another one go on: each stage has to end as it does when nobody dies. Tells whether one
    /// died at all.
    pub(super) async fn disturbed(self, stages: &[Snapshot]) -> bool {
        self.tell(Some(stages)).await;
        !self.fuse.is_whole()
    }

    fn client(&self) -> Client {
        self.simulation.client.clone()
    }

    fn groups(&self) -> Api<PartitionGroup> {
        Api::namespaced(self.client(), &self.namespace)
    }

    fn primitives(&self) -> Api<Primitive> {
        Api::namespaced(self.client(), &self.namespace)
    }

    fn context(&self) -> String {
        let steps = self.fuse.steps();
        let (step, moment) = self.death.unwrap_or((0, Moment::After));
        let which = step.checked_sub(1).and_then(|index| steps.get(index));
        let last = &steps[steps.len().saturating_sub(20)..];
        format!(
            "{moment:?} step {step}, {which:?}, of {}; the last: {last:#?}\n{}",
            steps.len(),
            self.plane.log()
        )
    }

    async fn eventually<T>(&self, what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
        let started = Instant::now();
        loop {
            let problem = match look().await {
                Ok(found) => return found,
                Err(problem) => problem,
            };
            assert!(started.elapsed() < PATIENCE, "{what}: {problem}\n{}", self.context());
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn tell(&self, expected: Option<&[Snapshot]>) -> Vec<Snapshot> {
        let meta = ObjectMeta { name: Some(self.namespace.clone()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata: meta, ..Namespace::default() };
        Api::all(self.client()).create(&PostParams::default(), &namespace).await.unwrap();
        self.simulation.members.count_steps(&self.namespace, self.fuse.clone());
        let proxy = Proxy::start(self.plane, &self.namespace).await;
        let fuse = self.fuse.clone();
        proxy.decide(move |asked| {
            // When a lease is renewed is a matter of time.
            if !asked.writes() || asked.is_about_lease() && asked.method != "POST" {
                return Fate::Pass;
            }
            let Some(step) = fuse.begin(&asked.what()) else { return Fate::Silence };
            let fuse = fuse.clone();
            Fate::PassThen(Box::new(move || fuse.end(step)))
        });
        self.start_operator(&proxy, "first");
        let stages = async {
            match self.story {
                Story::Life => self.life(expected).await,
                Story::Certificates => self.certificates(expected).await,
            }
        };
        let stages = tokio::select! {
            stages = stages => stages,
            () = self.replace(&proxy) => unreachable!("it goes on"),
        };
        self.fuse.stop();
        stages
    }

    fn start_operator(&self, proxy: &Proxy, name: &str) {
        let lease = format!("--namespace={}", self.namespace);
        let watched = format!("--watched-namespace={}", self.namespace);
        let name = format!("{}-{name}", self.namespace);
        let arguments = [lease.as_str(), &watched, "--controller-tls=none"];
        self.fuse.start(|| self.plane.start_operator_at(&proxy.kubeconfig, &name, &arguments));
    }

    /// Starts another operator when the one that acts is dead. Nobody has to wait for the end of the lease of the dead.
    async fn replace(&self, proxy: &Proxy) {
        let leases: Api<Lease> = Api::namespaced(self.client(), &self.namespace);
        loop {
            tokio::select! {
                () = self.fuse.blown() => {}
                () = self.lease_is_lost() => {}
            }
            match leases.delete("synod-operator", &DeleteParams::default()).await {
                Err(kube::Error::Api(refusal)) if refusal.code == 404 => {}
                deleted => drop(deleted.unwrap()),
            }
            self.start_operator(proxy, "second");
        }
    }

    /// On a machine that is busy an operator may be too late to renew its lease: then it ends with an error, and who keeps
    /// its container starts it again. It must not end for another reason.
    async fn lease_is_lost(&self) {
        let code = loop {
            match self.fuse.exit_code() {
                Some(code) => break code,
                None => sleep(Duration::from_millis(200)).await,
            }
        };
        assert_eq!(code, 1, "{}", self.context());
        println!("{}: an operator was too late to renew its lease", self.namespace);
    }

    /// Waits until all is as it was at the end of this stage when nobody died; or, the first time, just tells.
    async fn stage(&self, expected: Option<&[Snapshot]>, stages: &mut Vec<Snapshot>) {
        let expected = expected.map(|expected| &expected[stages.len()]);
        let snapshot = self
            .eventually("the stage ends as it should", async || {
                let snapshot = state::take(&self.client(), &self.namespace).await;
                match expected {
                    Some(expected) if *expected != snapshot => Err(state::difference(expected, &snapshot)),
                    _ => Ok(snapshot),
                }
            })
            .await;
        stages.push(snapshot);
    }

    async fn life(&self, expected: Option<&[Snapshot]>) -> Vec<Snapshot> {
        let mut stages = Vec::new();
        self.create::<PartitionGroup>(
            "sample",
            json!({"partitions": 1, "security": {"tls": {"type": "PlainText"}}}),
        )
        .await;
        self.create::<Primitive>(
            "users",
            json!({"group": "sample", "kind": "Map", "deletionPolicy": "Delete"}),
        )
        .await;
        self.group_has(3).await;
        self.primitive_is_ready().await;
        self.stage(expected, &mut stages).await;

        self.change(json!({"replicas": 5})).await;
        self.group_has(5).await;
        self.stage(expected, &mut stages).await;

        self.change(json!({"pod": {"image": "localhost/synod:next"}})).await;
        self.pods_run("localhost/synod:next").await;
        self.group_has(5).await;
        self.stage(expected, &mut stages).await;
        self.nothing_is_written().await;

        let group = format!("{}/sample", self.namespace);
        assert_eq!(self.simulation.members.beginnings(&group, 0), 1, "{}", self.context());
        assert!(self.simulation.members.primitives_exist(&group, 0), "{}", self.context());
        self.primitives().delete("users", &DeleteParams::default()).await.unwrap();
        self.eventually("the primitive is gone", async || {
            match self.primitives().get_opt("users").await.unwrap() {
                Some(primitive) => Err(format!("{primitive:?}")),
                None => Ok(()),
            }
        })
        .await;
        assert!(!self.simulation.members.primitives_exist(&group, 0), "{}", self.context());
        self.nothing_is_written().await;
        self.end().await;
        stages
    }

    /// Simulated replicas do not encrypt, so that the operator speaks to none.
    async fn certificates(&self, expected: Option<&[Snapshot]>) -> Vec<Snapshot> {
        let mut stages = Vec::new();
        self.create::<PartitionGroup>("sample", json!({"partitions": 2})).await;
        let sets = async || {
            let group = self.groups().get("sample").await.unwrap();
            let generation = group.status.and_then(|status| status.observed_generation);
            let sets = state::take(&self.client(), &self.namespace).await;
            let count = sets.keys().filter(|name| name.starts_with("StatefulSet")).count();
            if count == 2 && generation.is_some() {
                Ok(())
            } else {
                Err(format!("{count} sets, {generation:?}"))
            }
        };
        self.eventually("the sets are there", sets).await;
        self.stage(expected, &mut stages).await;
        self.one_authority_signed().await;
        stages
    }

    async fn create<K: Resource<DynamicType = ()>>(&self, name: &str, spec: Value) {
        let kind = ApiResource::erase::<K>(&());
        let object = DynamicObject::new(name, &kind).data(json!({"spec": spec}));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, &kind);
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        // A field that nobody knows would be dropped without a word.
        let strict = PatchParams::default().validation_strict();
        self.groups().patch("sample", &strict, &patch).await.unwrap();
    }

    async fn group_has(&self, count: usize) {
        self.eventually("the group is ready", async || {
            let group = self.groups().get("sample").await.unwrap();
            let status = group.status.clone().unwrap_or_default();
            let is = |what: &str, value: &str| {
                status.conditions.iter().any(|it| it.type_ == what && it.status == value)
            };
            let members: Vec<_> = status.partitions.iter().flat_map(|partition| &partition.members).collect();
            let is_so = status.observed_generation == group.metadata.generation
                && is("Ready", "True")
                && is("Progressing", "False")
                && members.len() == count
                && members.iter().all(|member| member.ready);
            if is_so { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }

    async fn primitive_is_ready(&self) {
        self.eventually("the primitive is ready", async || {
            let status = self.primitives().get("users").await.unwrap().status.unwrap_or_default();
            let is_ready = status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
            if is_ready { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }

    async fn pods_run(&self, image: &str) {
        let api: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        self.eventually("the pods are replaced", async || {
            let pods = api.list(&ListParams::default()).await.unwrap().items;
            let images: BTreeMap<_, _> = pods
                .iter()
                .map(|pod| {
                    (pod.name_any(), pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()))
                })
                .collect();
            let is_so = images.len() == 5 && images.values().all(|it| it.as_deref() == Some(image));
            if is_so { Ok(()) } else { Err(format!("{images:?}")) }
        })
        .await;
    }

    /// Has the operator look at the group, and waits until it has begun to.
    async fn touch(&self) {
        let node = format!("{}/sample-p0-0", self.namespace);
        let before = self.simulation.members.asked(&node);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {TOUCHED: before.to_string()}}}));
        let sets: Api<k8s_openapi::api::apps::v1::StatefulSet> =
            Api::namespaced(self.client(), &self.namespace);
        sets.patch("sample-p0", &PatchParams::default(), &patch).await.unwrap();
        self.eventually("the operator looks", async || {
            if self.simulation.members.asked(&node) > before { Ok(()) } else { Err(String::new()) }
        })
        .await;
    }

    /// A group is never looked at twice at once: when a look has begun, all before it are over.
    async fn nothing_is_written(&self) {
        self.touch().await;
        self.touch().await;
        let before = self.fuse.steps().len();
        self.touch().await;
        self.touch().await;
        let after = self.fuse.steps();
        assert_eq!(before, after.len(), "{:#?}", &after[before..]);
    }

    /// The group is deleted. What belongs to it goes with it, here by hand, and soon nothing comes back.
    async fn end(&self) {
        let uid = self.groups().get("sample").await.unwrap().metadata.uid;
        self.groups().delete("sample", &DeleteParams::default()).await.unwrap();
        self.eventually("nothing comes back", async || {
            self.collect(uid.as_ref()).await;
            let before = self.fuse.steps().len();
            // Longer than it takes to look again at a group that is not settled.
            sleep(Duration::from_secs(1)).await;
            let (after, left) = (self.fuse.steps(), state::take(&self.client(), &self.namespace).await);
            let is_over = before == after.len() && left.is_empty();
            if is_over { Ok(()) } else { Err(format!("{:?} {left:?}", &after[before..])) }
        })
        .await;
    }

    /// Deletes what belongs to the group, which is all there is.
    async fn collect(&self, uid: Option<&String>) {
        for kind in state::kinds() {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, &kind);
            for object in state::list(&self.client(), &self.namespace, &kind).await {
                let owner = object.owner_references().first().map(|owner| &owner.uid);
                assert_eq!(owner, uid, "{} {} would stay", kind.kind, object.name_any());
                api.delete(&object.name_any(), &DeleteParams::default()).await.unwrap();
            }
        }
    }

    /// Each Secret was written once, and what one operator began another one went on with.
    async fn one_authority_signed(&self) {
        let api: Api<Secret> = Api::namespaced(self.client(), &self.namespace);
        let secrets = api.list(&ListParams::default()).await.unwrap().items;
        let of = |name: &str, entry: &str| {
            let secret = secrets.iter().find(|secret| secret.name_any() == name)?;
            secret.data.as_ref()?.get(entry).map(|data| data.0.clone())
        };
        let authority = of("sample-ca", "ca.crt").expect("the authority");
        for name in ["sample-p0-tls", "sample-p1-tls"] {
            assert_eq!(of(name, "ca.crt").as_ref(), Some(&authority), "{name}: {}", self.context());
        }
        let written = self.fuse.steps().into_iter().filter(|step| step.contains("/secrets"));
        let replaced: Vec<_> = written.filter(|step| step.starts_with("PUT")).collect();
        assert_eq!(replaced, Vec::<String>::new(), "{}", self.context());
    }
}
