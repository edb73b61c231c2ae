//! What an operator counts, in the names that `/metrics` shows: all begin with `synod_operator_`.
//!
//! Every operator shows them. One that only stands by reconciles and writes nothing, but for the lease.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use kube::runtime::reflector::Store;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use synod_api::{PartitionGroup, conditions};
use tokio::time::Instant;

/// The content type of what [`Metrics::page`] gives.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a group is, by the first of these conditions that is true: the worst first.
const STATES: [&str; 6] = [
    conditions::QUORUM_LOST,
    conditions::SPEC_REJECTED,
    conditions::DEGRADED,
    conditions::PROGRESSING,
    conditions::PAUSED,
    conditions::READY,
];

/// Of a group about which nothing is known yet.
const UNKNOWN: &str = "Unknown";

type Label = [(&'static str, &'static str); 1];

/// Whose objects are looked after.
type Kind = [(&'static str, String); 1];

/// What is written, and how.
type Write = [(&'static str, String); 2];

/// What one operator counts.
pub(super) struct Metrics {
    registry: Mutex<Registry>,
    acts: Gauge,
    groups: Family<Label, Gauge>,
    writes: Family<Write, Counter>,
    reconcile_seconds: Family<Kind, Histogram>,
    queue_seconds: Family<Kind, Histogram>,
    errors: Family<Kind, Counter>,
    waiting: Family<Kind, Gauge>,
}

/// From a millisecond to half a minute.
fn times() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Metrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("synod_operator")),
            acts: Gauge::default(),
            groups: Family::default(),
            writes: Family::default(),
            reconcile_seconds: Family::new_with_constructor(times),
            queue_seconds: Family::new_with_constructor(times),
            errors: Family::default(),
            waiting: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let build: Family<Label, Gauge> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build", "The version of this operator", build);
        let help = "1 if this operator holds the lease, and so is the one that acts";
        registry.register("leader", help, self.acts.clone());
        let help = "Groups, by the worst that is true of each";
        registry.register("groups", help, self.groups.clone());
        let help = "Requests to the API server that write, by what and how";
        registry.register("api_writes", help, self.writes.clone());
        let help = "How long it took to look after an object once";
        registry.register_with_unit("reconcile", help, Unit::Seconds, self.reconcile_seconds.clone());
        let help = "How long an object that changed waited until it was looked after";
        registry.register_with_unit("queue", help, Unit::Seconds, self.queue_seconds.clone());
        let help = "Times that an object could not be made as declared, and is to be tried again";
        registry.register("reconcile_errors", help, self.errors.clone());
        let help = "Objects that changed and wait until they are looked after";
        registry.register("queue_objects", help, self.waiting.clone());
    }

    /// Whether this operator acts.
    pub(super) fn acts(&self, acts: bool) {
        self.acts.set(acts.into());
    }

    /// A request goes to the API server.
    pub(super) fn request(&self, method: &Method, path: &str) {
        if let Some((verb, resource)) = verb(method).zip(resource(path)) {
            let write = [("verb", verb.to_owned()), ("resource", resource)];
            self.writes.get_or_create(&write).inc();
        }
    }

    /// What is counted of the objects of one kind.
    pub(super) fn controller(&self, kind: &str) -> ControllerMetrics {
        let label = [("controller", kind.to_owned())];
        ControllerMetrics {
            changed: Mutex::default(),
            waiting: self.waiting.get_or_create(&label).clone(),
            queue_seconds: self.queue_seconds.get_or_create(&label).clone(),
            reconcile_seconds: self.reconcile_seconds.get_or_create(&label).clone(),
            errors: self.errors.get_or_create(&label).clone(),
        }
    }

    /// The page that Prometheus reads.
    pub(super) fn page(&self, groups: &Store<PartitionGroup>) -> String {
        let groups = groups.state();
        for state in STATES.into_iter().chain([UNKNOWN]) {
            let count = groups.iter().filter(|group| state_of(group) == state).count();
            self.groups.get_or_create(&[("state", state)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        match encode(&mut page, &registry) {
            Ok(()) => page,
            Err(_) => String::new(),
        }
    }
}

fn state_of(group: &PartitionGroup) -> &'static str {
    let known = group.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let is_true =
        |state: &&str| known.iter().any(|condition| condition.type_ == *state && condition.status == "True");
    STATES.into_iter().find(is_true).unwrap_or(UNKNOWN)
}

/// How a request writes, as RBAC says it; nothing for one that reads.
fn verb(method: &Method) -> Option<&'static str> {
    match *method {
        Method::POST => Some("create"),
        Method::PUT => Some("update"),
        Method::PATCH => Some("patch"),
        Method::DELETE => Some("delete"),
        _ => None,
    }
}

/// What a request is about, as RBAC says it: `statefulsets`, `partitiongroups/status`.
fn resource(path: &str) -> Option<String> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next()? {
        "api" => parts.next().map(drop)?,
        "apis" => parts.next().zip(parts.next()).map(drop)?,
        _ => return None,
    }
    let parts: Vec<_> = parts.collect();
    match parts.as_slice() {
        ["namespaces", _, resource] | ["namespaces", _, resource, _] => Some((*resource).to_owned()),
        ["namespaces", _, resource, _, part] => Some(format!("{resource}/{part}")),
        [resource] | [resource, _] => Some((*resource).to_owned()),
        _ => None,
    }
}

/// The namespace and name of an object.
pub(super) type ObjectKey = (Option<String>, String);

/// What is counted of the objects of one kind.
pub(super) struct ControllerMetrics {
    /// The objects that wait, and since when.
    changed: Mutex<HashMap<ObjectKey, Instant>>,
    waiting: Gauge,
    queue_seconds: Histogram,
    reconcile_seconds: Histogram,
    errors: Counter,
}

impl ControllerMetrics {
    /// An object is to be looked after.
    pub(super) fn queued(&self, object: ObjectKey) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.entry(object).or_insert_with(Instant::now);
        self.waiting.set(i64::try_from(changed.len()).unwrap_or(i64::MAX));
    }

    /// It is its turn, or it is no more. Says how long it has waited, if it has.
    fn taken(&self, object: &ObjectKey) -> Option<Duration> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = changed.remove(object)?;
        self.waiting.set(i64::try_from(changed.len()).unwrap_or(i64::MAX));
        Some(since.elapsed())
    }

    /// An object that was to be looked after is no more.
    pub(super) fn gone(&self, object: &ObjectKey) {
        let _ = self.taken(object);
    }

    /// Looks after an object, and counts that.
    pub(super) async fn looking<T, E>(
        &self,
        object: ObjectKey,
        look: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Some(waited) = self.taken(&object) {
            self.queue_seconds.observe(waited.as_secs_f64());
        }
        let began = Instant::now();
        let outcome = look.await;
        self.reconcile_seconds.observe(began.elapsed().as_secs_f64());
        if outcome.is_err() {
            self.errors.inc();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    fn page(metrics: &Metrics, groups: &[Value]) -> String {
        let (reader, mut writer) = store();
        writer.apply_watcher_event(&Event::Init);
        for group in groups {
            writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(group.clone()).unwrap()));
        }
        writer.apply_watcher_event(&Event::InitDone);
        metrics.page(&reader)
    }

    fn group(name: &str, conditions: &[(&str, &str)]) -> Value {
        let condition = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status, "reason": "Any", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        json!({
            "apiVersion": "synod.dev/v1alpha1",
            "kind": "PartitionGroup",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"partitions": 1},
            "status": {"conditions": conditions.iter().map(condition).collect::<Vec<_>>()},
        })
    }

    fn shows(page: &str, line: &str) {
        assert!(page.lines().any(|shown| shown == line), "no {line} in:\n{page}");
    }

    #[test]
    fn each_group_is_counted_once_by_the_worst_that_is_true_of_it() {
        let groups = [
            group("a", &[("Ready", "True"), ("Progressing", "False")]),
            group("b", &[("Ready", "True"), ("Progressing", "True")]),
            group("c", &[("Ready", "False"), ("Progressing", "True"), ("QuorumLost", "True")]),
            group("d", &[]),
        ];
        let page = page(&Metrics::new(), &groups);
        for (state, count) in
            [("Ready", 1), ("Progressing", 1), ("QuorumLost", 1), ("Unknown", 1), ("Degraded", 0)]
        {
            shows(&page, &format!("synod_operator_groups{{state=\"{state}\"}} {count}"));
        }
    }

    #[test]
    fn writes_are_counted_by_what_and_how_and_reads_are_not() {
        let cases = [
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/shop/statefulsets/a-p0",
                Some(("patch", "statefulsets")),
            ),
            (
                Method::PATCH,
                "/apis/synod.dev/v1alpha1/namespaces/shop/partitiongroups/a/status",
                Some(("patch", "partitiongroups/status")),
            ),
            (Method::DELETE, "/api/v1/namespaces/shop/pods/a-p0-0", Some(("delete", "pods"))),
            (Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", Some(("create", "tokenreviews"))),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/synod-system/leases/synod-operator",
                Some(("update", "leases")),
            ),
            (Method::GET, "/api/v1/pods", None),
            (Method::POST, "/version", None),
        ];
        for (method, path, expected) in cases {
            let metrics = Metrics::new();
            metrics.request(&method, path);
            let page = page(&metrics, &[]);
            match expected {
                Some((verb, resource)) => {
                    let labels = format!("{{verb=\"{verb}\",resource=\"{resource}\"}}");
                    shows(&page, &format!("synod_operator_api_writes_total{labels} 1"));
                }
                None => assert!(!page.contains("synod_operator_api_writes_total"), "{path}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_is_timed_from_the_change_to_the_end() {
        let metrics = Metrics::new();
        let controller = metrics.controller("PartitionGroup");
        let key = |name: &str| (Some("shop".to_owned()), name.to_owned());
        for name in ["a", "b", "a"] {
            controller.queued(key(name));
        }
        shows(&page(&metrics, &[]), "synod_operator_queue_objects{controller=\"PartitionGroup\"} 2");
        tokio::time::advance(Duration::from_secs(2)).await;
        let look = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Err::<(), _>("no")
        };
        assert_eq!(controller.looking(key("a"), look).await, Err("no"));
        controller.gone(&key("b"));
        controller.looking(key("a"), async { Ok::<_, ()>(()) }).await.unwrap();
        let page = page(&metrics, &[]);
        for line in [
            "queue_seconds_count{controller=\"PartitionGroup\"} 1",
            "queue_seconds_sum{controller=\"PartitionGroup\"} 2.0",
            "reconcile_seconds_count{controller=\"PartitionGroup\"} 2",
            "reconcile_seconds_sum{controller=\"PartitionGroup\"} 3.0",
            "reconcile_errors_total{controller=\"PartitionGroup\"} 1",
            "queue_objects{controller=\"PartitionGroup\"} 0",
        ] {
            shows(&page, &format!("synod_operator_{line}"));
        }
    }

    #[test]
    fn the_dashboard_asks_for_what_is_shown() {
        let dashboard = include_str!("../../../../charts/synod/files/dashboard.json");
        let metrics = Metrics::new();
        metrics.controller("PartitionGroup");
        metrics.request(&Method::DELETE, "/api/v1/namespaces/shop/pods/a");
        let page = page(&metrics, &[]);
        let asked: BTreeSet<_> = dashboard
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("synod_operator_"))
            .collect();
        assert!(asked.len() > 5, "{asked:?}");
        for name in asked {
            let is_shown =
                |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(page.lines().any(is_shown), "the dashboard asks for {name}, which no operator shows");
        }
    }
}
