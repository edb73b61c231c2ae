//! What a node counts, in the names that `/metrics` shows.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use synod_protocol::Role;
use synod_replica::Replica;

/// Which replica a number is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    group: String,
    partition: u32,
}

type Number = Gauge<i64>;

#[derive(Clone)]
struct SyncBuckets;

impl MetricConstructor<Histogram> for SyncBuckets {
    /// From 50 µs, a fast disk, to 1.6 s, which costs leadership.
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
    }
}

/// The counters of a node.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    leader: Family<Labels, Number>,
    failed: Family<Labels, Number>,
    term: Family<Labels, Number>,
    log_index: Family<Labels, Number>,
    command_index: Family<Labels, Number>,
    sessions: Family<Labels, Number>,
    requests: Family<Labels, Counter>,
    sync_seconds: Family<Labels, Histogram, SyncBuckets>,
}

impl Metrics {
    pub(crate) fn new(node: &str, version: &'static str) -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("synod")),
            leader: Family::default(),
            failed: Family::default(),
            term: Family::default(),
            log_index: Family::default(),
            command_index: Family::default(),
            sessions: Family::default(),
            requests: Family::default(),
            sync_seconds: Family::new_with_constructor(SyncBuckets),
        };
        metrics.register(node, version);
        metrics
    }

    fn register(&self, node: &str, version: &'static str) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let about = [("version", version.to_owned()), ("node", node.to_owned())];
        let build: Family<[(&'static str, String); 2], Number> = Family::default();
        build.get_or_create(&about).set(1);
        registry.register("node_build", "Which node this is, and its version", build);
        let gauges = [
            ("replica_leader", "1 if this replica leads its partition", &self.leader),
            ("replica_failed", "1 if this replica has stopped for good", &self.failed),
            ("replica_term", "The term of the partition", &self.term),
            ("replica_applied_log_index", "The last log entry applied", &self.log_index),
            ("replica_applied_index", "The last command applied", &self.command_index),
            ("replica_sessions", "Open sessions of the partition", &self.sessions),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register("replica_requests", "Requests received from clients", self.requests.clone());
        registry.register_with_unit(
            "replica_log_sync",
            "How long it took to make a group of log records durable",
            Unit::Seconds,
            self.sync_seconds.clone(),
        );
    }

    /// The counters of one replica.
    pub(crate) fn replica(&self, group: &str, partition: u32) -> ReplicaMetrics {
        let labels = Labels { group: group.to_owned(), partition };
        ReplicaMetrics {
            leader: self.leader.get_or_create(&labels).clone(),
            failed: self.failed.get_or_create(&labels).clone(),
            term: self.term.get_or_create(&labels).clone(),
            log_index: self.log_index.get_or_create(&labels).clone(),
            command_index: self.command_index.get_or_create(&labels).clone(),
            sessions: self.sessions.get_or_create(&labels).clone(),
            requests: self.requests.get_or_create(&labels).clone(),
            sync_seconds: self.sync_seconds.get_or_create(&labels).clone(),
        }
    }

    /// The page that Prometheus reads.
    pub(crate) fn page(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        match encode(&mut page, &registry) {
            Ok(()) => page,
            Err(_) => String::new(),
        }
    }
}

/// The counters of one replica.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaMetrics {
    leader: Number,
    failed: Number,
    term: Number,
    log_index: Number,
    command_index: Number,
    sessions: Number,
    requests: Counter,
    sync_seconds: Histogram,
}

impl ReplicaMetrics {
    /// Notes how a replica stands.
    pub(crate) fn observe(&self, replica: &Replica) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (standing, applied) = (replica.standing(), replica.machine().applied());
        self.leader.set(i64::from(standing.role == Role::Leader));
        self.term.set(number(standing.term.get()));
        self.log_index.set(number(applied.log_index.get()));
        self.command_index.set(number(applied.index.get()));
        self.sessions.set(number(replica.machine().sessions_open()));
    }

    /// The replica has stopped for good.
    pub(crate) fn failed(&self) {
        self.failed.set(1);
        self.leader.set(0);
    }

    /// Requests came.
    pub(crate) fn requests(&self, count: usize) {
        self.requests.inc_by(count as u64);
    }

    /// A group of records was made durable.
    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }
}
