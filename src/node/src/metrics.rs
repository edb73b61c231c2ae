//! What a node counts, in the names that `/metrics` shows: all begin with `synod_`, and those of a replica carry the
//! labels `group` and `partition`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use synod_protocol::Role;
use synod_replica::{Replica, Status};
use synod_types::ErrorCode;

/// A number that goes up and down.
pub(crate) type Number = Gauge<i64>;

/// A number that only goes up.
pub(crate) type Count = Counter;

/// Which replica a number is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    group: String,
    partition: u32,
}

/// Which replica, and what of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Detail {
    group: String,
    partition: u32,
    detail: &'static str,
}

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transfer {
    /// Written to disk.
    Save,
    /// Sent to another member.
    Send,
    /// Received from one, and taken over.
    Receive,
}

impl Transfer {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Save => "save",
            Self::Send => "send",
            Self::Receive => "receive",
        }
    }
}

/// From 50 µs, a fast disk, to 1.6 s, which costs leadership.
fn short_times() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

/// From 10 ms to half an hour.
fn long_times() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 3.0, 12))
}

/// Declares the numbers of a replica: a family for all replicas, and its member for one.
macro_rules! of_each_replica {
    ($($field:ident: $kind:ty = $new:expr, $name:literal $(($unit:ident))?, $help:literal;)*) => {
        struct Families {
            $($field: Family<Labels, $kind>,)*
            errors: Family<Detail, Counter>,
            snapshot_seconds: Family<Detail, Histogram>,
            snapshots_failed: Family<Detail, Counter>,
        }

        /// The numbers of one replica.
        #[derive(Clone, Debug)]
        pub(crate) struct ReplicaMetrics {
            labels: Labels,
            $($field: $kind,)*
            errors: Family<Detail, Counter>,
            snapshot_seconds: Family<Detail, Histogram>,
            snapshots_failed: Family<Detail, Counter>,
        }

        impl Families {
            fn new(registry: &mut Registry) -> Self {
                let families = Self {
                    $($field: Family::new_with_constructor($new),)*
                    errors: Family::default(),
                    snapshot_seconds: Family::new_with_constructor(long_times),
                    snapshots_failed: Family::default(),
                };
                $(register(registry, $name, $help, [$(Unit::$unit)?], families.$field.clone());)*
                families
            }

            fn of(&self, group: &str, partition: u32) -> ReplicaMetrics {
                let labels = Labels { group: group.to_owned(), partition };
                let metrics = ReplicaMetrics {
                    $($field: self.$field.get_or_create(&labels).clone(),)*
                    errors: self.errors.clone(),
                    snapshot_seconds: self.snapshot_seconds.clone(),
                    snapshots_failed: self.snapshots_failed.clone(),
                    labels,
                };
                // What never failed is a zero, and not nothing.
                for transfer in [Transfer::Save, Transfer::Send, Transfer::Receive] {
                    drop(metrics.snapshots_failed.get_or_create(&metrics.detail(transfer.as_str())));
                }
                metrics
            }
        }
    };
}

of_each_replica! {
    leader: Number = Number::default, "replica_leader", "1 if this replica leads its partition";
    failed: Number = Number::default, "replica_failed", "1 if this replica has stopped, for good or for want of room on its disk";
    term: Number = Number::default, "replica_term", "The term of the partition";
    log_index: Number = Number::default, "replica_applied_log_index", "The last log entry applied";
    command_index: Number = Number::default, "replica_applied_index", "The last command applied";
    sessions: Number = Number::default, "replica_sessions", "Open sessions of the partition";
    keys: Number = Number::default, "replica_keys", "Keys in the state, of all kinds";
    watches: Number = Number::default, "replica_watches", "Watches that this replica serves";
    clients: Number = Number::default, "replica_clients", "Session streams and calls that this replica serves";
    mailbox: Number = Number::default, "replica_mailbox_items", "Items that the last turn found waiting";
    log_bytes: Number = Number::default, "replica_log" (Bytes), "The size of the log on disk";
    requests: Counter = Counter::default, "replica_requests", "Requests received from clients";
    request_bytes: Counter = Counter::default, "replica_request" (Bytes), "Bytes of requests received";
    events: Counter = Counter::default, "replica_events", "Events handed to watchers";
    event_bytes: Counter = Counter::default, "replica_event" (Bytes), "Bytes of events handed to watchers";
    turn_seconds: Histogram = short_times, "replica_turn" (Seconds),
        "How long a turn of the replica took: its mail, what was committed, and its answers";
    commit_seconds: Histogram = short_times, "replica_commit" (Seconds),
        "How long it took from a log entry's coming here until it was applied";
    sync_seconds: Histogram = short_times, "replica_log_sync" (Seconds),
        "How long it took to make a group of log records durable";
}

fn register(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: impl IntoIterator<Item = Unit>,
    metric: impl prometheus_client::registry::Metric,
) {
    match unit.into_iter().next() {
        Some(unit) => registry.register_with_unit(name, help, unit, metric),
        None => registry.register(name, help, metric),
    }
}

/// The numbers of a node.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    replicas: Families,
    connections: Family<[(&'static str, &'static str); 1], Number>,
    refused: Family<[(&'static str, &'static str); 1], Count>,
    links: Number,
    links_lost: Counter,
    messages_lost: Counter,
    resident: Number,
}

impl Metrics {
    pub(crate) fn new(node: &str, version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("synod");
        let about = [("version", version.to_owned()), ("node", node.to_owned())];
        let build: Family<[(&'static str, String); 2], Number> = Family::default();
        build.get_or_create(&about).set(1);
        registry.register("node_build", "Which node this is, and its version", build);
        let replicas = Families::new(&mut registry);
        let metrics = Self {
            registry: Mutex::new(registry),
            connections: Family::default(),
            refused: Family::default(),
            links: Number::default(),
            links_lost: Counter::default(),
            messages_lost: Counter::default(),
            resident: Number::default(),
            replicas,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Families { errors, snapshot_seconds, snapshots_failed, .. } = &self.replicas;
        let help = "Requests answered with an error, by its code";
        registry.register("replica_errors", help, errors.clone());
        let help = "How long it took to save, send or receive a snapshot";
        registry.register_with_unit("replica_snapshot", help, Unit::Seconds, snapshot_seconds.clone());
        let help = "Snapshots that could not be saved, sent or received";
        registry.register("replica_snapshots_failed", help, snapshots_failed.clone());
        let help = "Open connections, by the port they came to";
        registry.register("node_connections", help, self.connections.clone());
        let help = "Connections refused for want of a handshake or of the right certificate, by the port they came to";
        registry.register("node_connections_refused", help, self.refused.clone());
        let help = "Connections to other nodes that are up";
        registry.register("node_peer_links", help, self.links.clone());
        let help = "Connections to other nodes that broke or could not be made";
        registry.register("node_peer_links_lost", help, self.links_lost.clone());
        let help = "Messages from and to other nodes that were dropped for want of room";
        registry.register("node_peer_messages_lost", help, self.messages_lost.clone());
        let help = "Memory that the process holds";
        registry.register_with_unit("node_resident_memory", help, Unit::Bytes, self.resident.clone());
    }

    /// The numbers of one replica.
    pub(crate) fn replica(&self, group: &str, partition: u32) -> ReplicaMetrics {
        self.replicas.of(group, partition)
    }

    /// The open connections of a port.
    pub(crate) fn connections(&self, port: &'static str) -> Number {
        self.connections.get_or_create(&[("port", port)]).clone()
    }

    /// The connections that were refused at a port.
    pub(crate) fn refused(&self, port: &'static str) -> Count {
        self.refused.get_or_create(&[("port", port)]).clone()
    }

    /// A connection to another node is up.
    pub(crate) fn link_up(&self) {
        self.links.inc();
    }

    /// It is no longer.
    pub(crate) fn link_down(&self) {
        self.links.dec();
    }

    /// A connection to another node broke or could not be made.
    pub(crate) fn link_lost(&self) {
        self.links_lost.inc();
    }

    /// A message from or to another node was dropped.
    pub(crate) fn peer_message_lost(&self) {
        self.messages_lost.inc();
    }

    /// The page that Prometheus reads.
    pub(crate) fn page(&self) -> String {
        self.resident.set(number(resident_bytes().unwrap_or(0)));
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        match encode(&mut page, &registry) {
            Ok(()) => page,
            Err(_) => String::new(),
        }
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What the kernel says that this process holds, where it says so.
pub(crate) fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl ReplicaMetrics {
    /// Notes how a replica stands after a turn.
    pub(crate) fn observe(&self, replica: &Replica, clients: usize) {
        let (standing, applied) = (replica.standing(), replica.machine().applied());
        self.leader.set(i64::from(standing.role == Role::Leader));
        self.term.set(number(standing.term.get()));
        self.log_index.set(number(applied.log_index.get()));
        self.command_index.set(number(applied.index.get()));
        self.sessions.set(number(replica.machine().sessions_open()));
        self.clients.set(number(clients as u64));
    }

    /// Notes what is not counted after every turn.
    pub(crate) fn census(&self, status: &Status) {
        self.keys.set(number(status.keys));
        self.watches.set(number(status.watches));
    }

    /// The replica starts, perhaps again.
    pub(crate) fn starts(&self) {
        self.failed.set(0);
    }

    /// The replica has stopped.
    pub(crate) fn failed(&self) {
        self.failed.set(1);
        self.leader.set(0);
    }

    /// A turn begins, and finds so much mail.
    pub(crate) fn turn_begins(&self, items: usize) {
        self.mailbox.set(number(items as u64));
    }

    /// A turn is over.
    pub(crate) fn turn_ends(&self, took: Duration) {
        self.turn_seconds.observe(took.as_secs_f64());
    }

    /// An entry was applied so long after it came.
    pub(crate) fn committed(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Requests came.
    pub(crate) fn requests(&self, count: usize, bytes: usize) {
        self.requests.inc_by(count as u64);
        self.request_bytes.inc_by(bytes as u64);
    }

    /// A request was answered with an error.
    pub(crate) fn error(&self, code: u32) {
        self.errors.get_or_create(&self.detail(ErrorCode::from_number(code).as_str())).inc();
    }

    /// Events were handed out.
    pub(crate) fn events(&self, count: usize, bytes: usize) {
        self.events.inc_by(count as u64);
        self.event_bytes.inc_by(bytes as u64);
    }

    /// A group of records was made durable.
    pub(crate) fn synced(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// The log has this size on disk.
    pub(crate) fn log_bytes(&self, bytes: u64) {
        self.log_bytes.set(number(bytes));
    }

    /// A snapshot was saved, sent or received, or was not.
    pub(crate) fn snapshot(&self, transfer: Transfer, took: Duration, success: bool) {
        let detail = self.detail(transfer.as_str());
        if success {
            self.snapshot_seconds.get_or_create(&detail).observe(took.as_secs_f64());
        } else {
            self.snapshots_failed.get_or_create(&detail).inc();
        }
    }

    fn detail(&self, detail: &'static str) -> Detail {
        Detail { group: self.labels.group.clone(), partition: self.labels.partition, detail }
    }
}
