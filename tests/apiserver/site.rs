//! A group that runs on simulated nodes, kept by an operator behind a proxy.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use synod_api::{PartitionGroup, Primitive};

use crate::control_plane::{ControlPlane, Operator};
use crate::proxy::{Asked, Proxy};
use crate::simulation::Simulation;

/// How long the operator may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The node that is asked first.
const NODE: &str = "default/sample-p0-0";

pub(crate) struct Site {
    // What needs others goes before them.
    _operator: Operator,
    pub(crate) proxy: Proxy,
    pub(crate) simulation: Simulation,
    pub(crate) plane: ControlPlane,
}

impl Site {
    /// Nothing is declared yet.
    pub(crate) fn start() -> Self {
        let plane = ControlPlane::start();
        let simulation = Simulation::start(&plane.kubeconfig("admin"));
        let proxy = simulation.runtime.block_on(Proxy::start(&plane, "first"));
        let arguments = ["--namespace=synod-system", "--controller-tls=none"];
        let operator = plane.start_operator_at(&proxy.kubeconfig, "first", &arguments);
        Self { _operator: operator, proxy, simulation, plane }
    }

    pub(crate) fn groups(&self) -> Api<PartitionGroup> {
        Api::default_namespaced(self.simulation.client.clone())
    }

    pub(crate) fn primitives(&self) -> Api<Primitive> {
        Api::default_namespaced(self.simulation.client.clone())
    }

    pub(crate) fn declare_group(&self) {
        let group = json!({
            "apiVersion": synod_api::API_VERSION,
            "kind": "PartitionGroup",
            "metadata": {"name": "sample"},
            "spec": {"partitions": 1, "security": {"tls": {"type": "PlainText"}}},
        });
        let group = serde_json::from_value(group).unwrap();
        self.simulation.runtime.block_on(self.groups().create(&PostParams::default(), &group)).unwrap();
    }

    pub(crate) fn declare_primitive(&self, name: &str) {
        let primitive = json!({
            "apiVersion": synod_api::API_VERSION,
            "kind": "Primitive",
            "metadata": {"name": name},
            "spec": {"group": "sample", "kind": "Map"},
        });
        let primitive = serde_json::from_value(primitive).unwrap();
        self.simulation
            .runtime
            .block_on(self.primitives().create(&PostParams::default(), &primitive))
            .unwrap();
    }

    pub(crate) fn change_group(&self, patch: Value) {
        let (api, patch, parameters) = (self.groups(), Patch::Merge(patch), PatchParams::default());
        self.simulation.runtime.block_on(api.patch("sample", &parameters, &patch)).unwrap();
    }

    /// Whether the group is ready as it is declared now, with so many members.
    pub(crate) fn group_has(&self, count: usize) -> bool {
        let group = self.simulation.runtime.block_on(self.groups().get("sample")).unwrap();
        let status = group.status.unwrap_or_default();
        let is = |what: &str, value: &str| {
            status.conditions.iter().any(|it| it.type_ == what && it.status == value)
        };
        let mut members = status.partitions.iter().flat_map(|partition| &partition.members);
        status.observed_generation == group.metadata.generation
            && is("Ready", "True")
            && is("Progressing", "False")
            && members.clone().count() == count
            && members.all(|member| member.ready)
    }

    /// Whether this is the reason why each primitive is ready, or is not.
    pub(crate) fn primitives_are(&self, reason: &str) -> bool {
        let list = self.primitives();
        let list = self.simulation.runtime.block_on(list.list(&kube::api::ListParams::default())).unwrap();
        list.items.iter().all(|primitive| {
            let conditions = primitive.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|it| it.type_ == "Ready" && it.reason == reason)
        })
    }

    /// Waits until something is so, and tells how long that took.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn() -> bool) -> Duration {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}\n{}", self.plane.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        started.elapsed()
    }

    /// Has the operator look at the group, and waits until it has begun to.
    fn touch(&self) {
        let before = self.simulation.members.asked(NODE);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"touched": before.to_string()}}}));
        let sets: Api<k8s_openapi::api::apps::v1::StatefulSet> =
            Api::default_namespaced(self.simulation.client.clone());
        let touched =
            self.simulation.runtime.block_on(sets.patch("sample-p0", &PatchParams::default(), &patch));
        assert_eq!(touched.unwrap().name_any(), "sample-p0");
        self.eventually("the operator looks", || self.simulation.members.asked(NODE) > before);
    }

    /// The operator looks, and writes nothing. A group is never looked at twice at once: when a look has begun, all before
    /// it are over.
    pub(crate) fn nothing_is_written(&self) {
        self.touch();
        self.touch();
        let since = tokio::time::Instant::now();
        self.touch();
        self.touch();
        let written = self.proxy.asked_since(since, |asked| asked.writes() && !asked.is_about_lease());
        assert!(written.is_empty(), "{:#?}", written.iter().map(Asked::what).collect::<Vec<_>>());
    }
}
