//! A cluster with many groups and ten times as many primitives: how much memory the operator needs, how soon it has done
//! what it is told, and that it then is quiet.
//!
//! ```text
//!   declared ──► everything is ready ──► quiet ──► changes, each timed ──► operator killed, others changed ──► another one
//! ```
//!
//! `SYNOD_SCALE_GROUPS` says how many groups; `make scale` takes 1,000.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use synod_api::{PartitionGroup, Primitive};
use tokio::time::sleep;

use crate::control_plane::{ControlPlane, Operator, Process};
use crate::simulation::Simulation;

/// What must be reached.
const MEMORY_MAX_KIB: u64 = 256 << 10;
const CONNECTIONS_MAX: usize = 1_024;
const COLD_START_MAX: Duration = Duration::from_secs(60);
const SPEC_TO_STATUS_MAX: Duration = Duration::from_secs(2);

/// How long nothing may be written: every group is looked at several times meanwhile.
const QUIET: Duration = Duration::from_secs(30);

const PRIMITIVES_PER_GROUP: usize = 10;

/// How many objects are changed one after the other, and how soon after each other.
const CHANGES: usize = 200;
const CHANGE_INTERVAL: Duration = Duration::from_millis(50);

/// How many requests of the test are under way at a time.
const CONCURRENCY: usize = 16;

fn group(number: usize) -> Value {
    json!({
        "apiVersion": synod_api::API_VERSION,
        "kind": "PartitionGroup",
        "metadata": {"name": format!("group-{number}"), "namespace": "default"},
        // Simulated members have addresses for which nobody signs certificates.
        "spec": {"partitions": 1, "replicas": 3, "security": {"tls": {"type": "PlainText"}}},
    })
}

fn primitive(group: usize, number: usize) -> Value {
    json!({
        "apiVersion": synod_api::API_VERSION,
        "kind": "Primitive",
        "metadata": {"name": format!("primitive-{group}-{number}"), "namespace": "default"},
        "spec": {"group": format!("group-{group}"), "kind": "Map"},
    })
}

/// What the operator has said of an object, and when that was seen.
#[derive(Clone, Debug)]
struct Said {
    generation: i64,
    is_ready: bool,
    at: Instant,
}

/// What the operator says of all objects of a kind, as a watch tells.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<HashMap<String, Said>>>);

impl Reports {
    /// Begins to watch; for ever.
    fn watch<K>(simulation: &Simulation) -> Self
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize + Send + Sync + 'static,
    {
        let reports = Self::default();
        let watched = reports.clone();
        let api: Api<K> = Api::all(simulation.client.clone());
        simulation.runtime.spawn(async move {
            let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    watched.note(&object.name_any(), &serde_json::to_value(&object).unwrap()["status"]);
                }
            }
        });
        reports
    }

    fn note(&self, name: &str, status: &Value) {
        let Some(generation) = status["observedGeneration"].as_i64() else { return };
        let conditions = status["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        let is_ready = ready.is_some_and(|ready| ready["status"] == "True");
        let mut reports = self.0.lock().unwrap();
        let is_known =
            |last: &Said| last.generation == generation && (last.is_ready == is_ready || !is_ready);
        if !reports.get(name).is_some_and(is_known) {
            reports.insert(name.to_owned(), Said { generation, is_ready, at: Instant::now() });
        }
    }

    fn of(&self, name: &str) -> Option<Said> {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn ready(&self) -> usize {
        self.0.lock().unwrap().values().filter(|said| said.is_ready).count()
    }
}

struct Scale<'a> {
    plane: &'a ControlPlane,
    simulation: &'a Simulation,
    groups: Reports,
    primitives: Reports,
    count: usize,
}

impl Scale<'_> {
    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::default_namespaced(self.simulation.client.clone())
    }

    /// Does something with each of many, some at a time.
    fn each<T, F: Future<Output = Result<(), kube::Error>>>(
        &self,
        things: impl IntoIterator<Item = T>,
        act: impl Fn(T) -> F,
    ) {
        let acts = futures::stream::iter(things).map(|thing| Ok(act(thing)));
        let done = acts.try_buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
        self.simulation.runtime.block_on(done).unwrap();
    }

    fn create<K>(&self, objects: impl Iterator<Item = Value>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        let api = self.api::<K>();
        self.each(objects, async |object| {
            let object: K = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.map(drop)
        });
    }

    /// Waits until something is so, and tells how long that took.
    fn timed(&self, what: &str, since: Instant, most: Duration, is_so: impl Fn() -> bool) -> Duration {
        while !is_so() {
            assert!(since.elapsed() < most, "{what}: not after {most:?}\n{}", self.plane.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = since.elapsed();
        println!("{what}: {:.1} s", took.as_secs_f64());
        took
    }

    fn all_are_ready(&self) -> bool {
        self.groups.ready() == self.count && self.primitives.ready() == self.count * PRIMITIVES_PER_GROUP
    }

    fn nothing_is_written(&self) {
        // The last events may still be on their way.
        std::thread::sleep(Duration::from_secs(2));
        let (before, _) = self.plane.counts();
        std::thread::sleep(QUIET);
        let (after, forbidden) = self.plane.counts();
        assert_eq!(before, after, "{}", self.plane.log());
        assert!(forbidden < 0.5, "the operator may not do what it has to: {}", self.plane.log());
        println!("writes in {} s: 0", QUIET.as_secs());
    }

    /// To list events of one object costs as much as to list all: groups that wait for their pods share what was read.
    fn events_are_asked_for_by_all_together(&self, took: Duration) {
        let (rounds, pages) = (took.as_secs() / 5 + 2, self.count as u64 * 4 / 500 + 1);
        let lists = self.plane.lists("events");
        println!("lists of events: {lists}");
        assert!(lists <= (2 * rounds * pages) as f64, "{lists} in {rounds} rounds of {pages} pages");
    }

    /// Changes groups and declares primitives at a steady pace, and returns how long each took to be seen in a status.
    fn spec_to_status(&self) -> Vec<Duration> {
        let change = async |number: usize| {
            let (name, reports, generation, since) = if number.is_multiple_of(2) {
                let name = format!("group-{}", number % self.count);
                let (generation, since) = self.toggle(&name).await;
                (name, &self.groups, generation, since)
            } else {
                let name = format!("extra-{number}");
                (name.clone(), &self.primitives, 1, self.declare(&name, number % self.count).await)
            };
            let said = loop {
                match reports.of(&name).filter(|said| said.generation >= generation && said.is_ready) {
                    Some(said) => break said,
                    None => sleep(Duration::from_millis(5)).await,
                }
                assert!(
                    since.elapsed() < COLD_START_MAX,
                    "{name}: {:?}\n{}",
                    reports.of(&name),
                    self.plane.log()
                );
            };
            said.at.saturating_duration_since(since)
        };
        let paced = futures::stream::iter(0..CHANGES).map(async |number| {
            sleep(CHANGE_INTERVAL * u32::try_from(number).unwrap()).await;
            change(number).await
        });
        self.simulation.runtime.block_on(paced.buffer_unordered(CHANGES).collect())
    }

    /// Changes the spec of a group so that nothing but the status has to follow. Returns its new generation, and when that
    /// was asked for.
    async fn toggle(&self, name: &str) -> (i64, Instant) {
        let api = self.api::<PartitionGroup>();
        let before = api.get(name).await.unwrap();
        let update = format!("{:?}", before.spec.update_policy.update_type);
        let next = if update == "OnDelete" { "Rolling" } else { "OnDelete" };
        let patch = Patch::Merge(json!({"spec": {"updatePolicy": {"type": next}}}));
        let since = Instant::now();
        let after = api.patch(name, &PatchParams::default(), &patch).await.unwrap();
        (after.metadata.generation.unwrap(), since)
    }

    /// Declares one more primitive. Returns when that was asked for.
    async fn declare(&self, name: &str, group: usize) -> Instant {
        let mut object = primitive(group, 0);
        object["metadata"]["name"] = json!(name);
        let object: Primitive = serde_json::from_value(object).unwrap();
        let since = Instant::now();
        self.api::<Primitive>().create(&PostParams::default(), &object).await.unwrap();
        since
    }

    /// With nobody there to see it: every tenth group is changed, and every tenth loses a Service.
    fn change_behind_its_back(&self) -> Vec<(String, i64)> {
        let changed = Mutex::new(Vec::new());
        self.each((0..self.count).step_by(10), async |number| {
            let name = format!("group-{number}");
            let (generation, _) = self.toggle(&name).await;
            self.api::<Service>().delete(&format!("{name}-p0"), &DeleteParams::default()).await?;
            changed.lock().unwrap().push((name, generation));
            Ok(())
        });
        changed.into_inner().unwrap()
    }

    /// Another operator begins where one was killed.
    fn cold_start(&self) -> Operator {
        let changed = self.change_behind_its_back();
        self.simulation.members.take_asked();
        self.simulation.members.take_created();
        let started = Instant::now();
        let operator = self.plane.start_operator("second");
        let is_followed = |(name, generation): &(String, i64)| {
            self.groups.of(name).is_some_and(|said| said.generation >= *generation)
        };
        let (asked, confirmed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let count = |all: &Mutex<Vec<String>>, more: Vec<String>| {
            let mut all = all.lock().unwrap();
            all.extend(more);
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        self.timed("every group was looked at", started, COLD_START_MAX, || {
            count(&asked, self.simulation.members.take_asked().into_iter().collect()) == self.count * 3
        });
        self.timed("every change was followed", started, COLD_START_MAX, || changed.iter().all(is_followed));
        self.timed("cold start to settled", started, COLD_START_MAX, || {
            let created = self.simulation.members.take_created().into_keys().collect();
            count(&confirmed, created) >= self.count * PRIMITIVES_PER_GROUP
        });
        let services = self.plane.kubectl(&["get", "services", "--output=name"]);
        let of_partitions = services.lines().filter(|name| name.ends_with("-p0")).count();
        assert_eq!(of_partitions, self.count, "what was deleted is back");
        operator
    }

    fn memory_is_bounded(&self, operator: &Process) {
        let peak = operator.peak_memory_kib();
        println!("peak memory: {} MiB", peak >> 10);
        assert!(peak <= MEMORY_MAX_KIB, "{peak} KiB");
        // One for each member, up to the most that are kept, and none that is left over from a primitive.
        let (open, most) = (operator.open_files(), (self.count * 3).min(CONNECTIONS_MAX) + 200);
        println!("open files: {open}");
        assert!(open <= most, "{open} files are open, at most {most} are expected");
    }
}

#[test]
fn many_groups_are_kept_with_little_and_a_change_is_seen_soon() {
    let count = std::env::var("SYNOD_SCALE_GROUPS").map_or(50, |count| count.parse().unwrap());
    let plane = ControlPlane::start();
    let simulation = Simulation::start(&plane.kubeconfig("admin"));
    let scale = Scale {
        plane: &plane,
        simulation: &simulation,
        groups: Reports::watch::<PartitionGroup>(&simulation),
        primitives: Reports::watch::<Primitive>(&simulation),
        count,
    };
    println!("{count} groups, {} primitives", count * PRIMITIVES_PER_GROUP);
    scale.create::<PartitionGroup>((0..count).map(group));
    let of_group = |group| (0..PRIMITIVES_PER_GROUP).map(move |number| primitive(group, number));
    scale.create::<Primitive>((0..count).flat_map(of_group));

    let started = Instant::now();
    let operator = plane.start_operator("first");
    let most = Duration::from_secs(120) + Duration::from_millis(300) * u32::try_from(count).unwrap();
    let took = scale.timed("from nothing to ready", started, most, || scale.all_are_ready());
    scale.events_are_asked_for_by_all_together(took);
    scale.nothing_is_written();

    let mut took = scale.spec_to_status();
    took.sort_unstable();
    let (median, slow) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("spec to status: median {} ms, p99 {} ms", median.as_millis(), slow.as_millis());
    assert!(slow <= SPEC_TO_STATUS_MAX, "{slow:?}");

    scale.memory_is_bounded(&operator.process);
    drop(operator);
    let operator = scale.cold_start();
    scale.nothing_is_written();
    scale.memory_is_bounded(&operator.process);
}
