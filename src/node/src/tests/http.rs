//! Metrics and health over HTTP.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// What is documented. A family's name; counters and histograms have suffixes on the page.
const NAMES: [&str; 28] = [
    "synod_node_build",
    "synod_node_connections",
    "synod_node_connections_refused",
    "synod_node_peer_links",
    "synod_node_peer_links_lost",
    "synod_node_peer_messages_lost",
    "synod_node_resident_memory_bytes",
    "synod_replica_applied_index",
    "synod_replica_applied_log_index",
    "synod_replica_clients",
    "synod_replica_commit_seconds",
    "synod_replica_errors",
    "synod_replica_event_bytes",
    "synod_replica_events",
    "synod_replica_failed",
    "synod_replica_keys",
    "synod_replica_leader",
    "synod_replica_log_bytes",
    "synod_replica_log_sync_seconds",
    "synod_replica_mailbox_items",
    "synod_replica_request_bytes",
    "synod_replica_requests",
    "synod_replica_sessions",
    "synod_replica_snapshot_seconds",
    "synod_replica_snapshots_failed",
    "synod_replica_term",
    "synod_replica_turn_seconds",
    "synod_replica_watches",
];

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// Asks a node's metrics port for a page, as a scraper does.
pub(super) async fn get(node: &Node, path: &str) -> Answer {
    let mut stream = TcpStream::connect(node.metrics_address().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The value of a line that starts like this.
fn value(page: &str, start: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line starts with {start}:\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_page_of_metrics_can_be_read_and_holds_what_is_documented() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    for _ in 0..10 {
        increment(&mut client, "hits").await.unwrap();
    }
    let request = synod_proto::admin::v1::SnapshotRequest { group: GROUP.into(), partition: 0 };
    cluster.admin(leader).await.snapshot(request).await.unwrap();
    let answer = get(&cluster.nodes[&leader], "/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.lines().any(|line| line == kind), "{}", answer.head);
    assert!(answer.body.ends_with("# EOF\n"));

    let page = answer.body;
    let mut names = BTreeSet::new();
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            names.insert(family.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            assert!(names.iter().any(|name| series.starts_with(name)), "{series} is of no family");
        }
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), NAMES);

    let dashboard = include_str!("../../../../charts/synod/files/dashboard.json");
    let words = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for asked in words.filter(|word| word.starts_with("synod_") && !word.starts_with("synod_operator_")) {
        let is_shown = |line: &str| line.strip_prefix(asked).is_some_and(|rest| rest.starts_with(['{', ' ']));
        assert!(page.lines().any(is_shown), "the dashboard asks for {asked}, which no node shows");
    }

    let of = |name: &str| value(&page, &format!("{name}{{group=\"default/sample\",partition=\"0\""));
    assert_eq!(of("synod_replica_leader"), 1.0);
    assert_eq!(of("synod_replica_failed"), 0.0);
    assert!(of("synod_replica_requests_total") >= 10.0);
    assert!(of("synod_replica_request_bytes_total") > of("synod_replica_requests_total"));
    assert!(of("synod_replica_applied_index") >= 11.0);
    assert!(of("synod_replica_commit_seconds_count") >= 10.0);
    assert!(of("synod_replica_log_sync_seconds_count") >= 10.0);
    assert!(of("synod_replica_log_bytes") > 0.0);
    assert!(of("synod_replica_errors_total") >= 1.0, "the counter did not exist at first");
    assert_eq!(of("synod_replica_snapshot_seconds_count"), 1.0);
    assert_eq!(value(&page, "synod_node_peer_links "), 2.0);
    assert!(value(&page, "synod_node_resident_memory_bytes ") > 1e6);
}

#[tokio::test]
async fn ready_is_a_node_whose_replicas_have_leaders() {
    let mut cluster = Cluster::new(3).await;
    assert_eq!(get(&cluster.nodes[&0], "/readyz").await.body, "ok\n");
    cluster.prepare(0, 0).await;
    let waits = get(&cluster.nodes[&0], "/readyz").await;
    assert_eq!(
        (waits.status, waits.body.as_str()),
        (503, "replica default/sample/0 waits to be bootstrapped or to join\n")
    );
    cluster.bootstrap(0, 1).await;
    cluster.leader().await;
    assert_eq!(get(&cluster.nodes[&0], "/readyz").await.status, 200);
    for number in [1, 2] {
        drop(cluster.nodes.remove(&number));
    }
    let begin = Instant::now();
    let alone = loop {
        let answer = get(&cluster.nodes[&0], "/readyz").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(begin.elapsed() < PATIENCE);
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(alone.body, "replica default/sample/0 knows no leader\n");
    // Alone, but alive.
    assert_eq!(get(&cluster.nodes[&0], "/livez").await.body, "ok\n");
    assert_eq!(get(&cluster.nodes[&0], "/nothing").await.status, 404);
}
