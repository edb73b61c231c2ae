//! Streams of events: no gap, no repeat, and what cannot be had is said.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use synod_types::ErrorCode;

use super::cluster::{Cluster, Shape, soon, until};
use crate::admin::Limits;
use crate::{
    Counter, CounterChange, Cursor, Entry, EventStream, Map, MapChange, SetChange, ValueChange, Version,
    Watched,
};

/// Writes 1, 2, 3… under keys in turns until it is told to stop, and returns how far it came.
async fn write_on(map: Map, stop: std::sync::Arc<std::sync::atomic::AtomicBool>) -> u64 {
    let mut written = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        written += 1;
        map.put(format!("key-{}", written % 7), written.to_string()).await.unwrap();
    }
    written
}

fn number(change: &MapChange) -> u64 {
    let (MapChange::Inserted { value, .. } | MapChange::Updated { value, .. }) = change else {
        panic!("nothing is removed: {change:?}")
    };
    str::from_utf8(&value.value).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_survives_leader_kills_and_a_restart_of_everything() {
    let (mut cluster, group) = Cluster::with_group(Shape { proxies: true, ..Shape::default() }).await;
    let map = group.map("m");
    map.put("before", "x").await.unwrap();
    let mut events = map.events().await.unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn(write_on(group.map("m"), stop.clone()));
    let (seen, mut watched) = tokio::sync::watch::channel(0);
    let watcher = tokio::spawn(async move {
        let (mut versions, mut expected) = (Version(0), 1);
        loop {
            let event = soon("an event", events.next()).await.unwrap().unwrap();
            assert_eq!(number(&event.change), expected, "no gap, no repeat");
            let (MapChange::Inserted { value, .. } | MapChange::Updated { value, .. }) = event.change else {
                panic!("nothing is removed")
            };
            assert!(value.version > versions, "in order");
            versions = value.version;
            if seen.send(expected).is_err() {
                return;
            }
            expected += 1;
        }
    });
    let mut after = async |more: u64| {
        let goal = *watched.borrow() + more;
        soon("more events", watched.wait_for(|seen| *seen >= goal)).await.unwrap();
    };
    after(100).await;
    for _ in 0..2 {
        let leader = cluster.leader(0).await;
        cluster.kill(leader).await;
        after(100).await;
        cluster.start(leader).await;
        cluster.proxies().for_each(super::proxy::Proxy::cut);
        after(100).await;
    }
    for number in 0..3 {
        cluster.kill(number).await;
    }
    for number in 0..3 {
        cluster.start(number).await;
    }
    after(100).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let written = soon("the writer ends", writer).await.unwrap();
    soon("the last event", watched.wait_for(|seen| *seen == written)).await.unwrap();
    drop(watched);
    map.put("after", (written + 1).to_string()).await.unwrap();
    soon("the watcher ends", watcher).await.unwrap();
}

#[tokio::test]
async fn a_later_stream_goes_on_where_an_earlier_one_was() {
    let (_cluster, group) = Cluster::with_group(Shape { nodes: 1, partitions: 3, ..Shape::default() }).await;
    let map = group.map("m");
    for key in 0..30 {
        map.put(format!("{key}"), "1").await.unwrap();
    }
    let mut events = map.events().await.unwrap();
    for key in 0..30 {
        map.put(format!("{key}"), "2").await.unwrap();
    }
    let mut first = Vec::new();
    for _ in 0..17 {
        first.push(soon("an event", events.next()).await.unwrap().unwrap());
    }
    let cursor: Cursor = events.cursor().to_string().parse().unwrap();
    drop(events);
    let mut rest = map.events().after(cursor).await.unwrap();
    for _ in 0..13 {
        first.push(soon("an event", rest.next()).await.unwrap().unwrap());
    }
    let mut keys: Vec<_> = first.iter().map(|event| event.change.key().to_owned()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 30, "each once");
    for partition in group.partition_ids() {
        let positions: Vec<_> = first.iter().filter(|event| event.partition == partition).collect();
        assert!(positions.is_sorted_by_key(|event| event.position), "in order on each partition");
    }
}

#[tokio::test]
async fn filters_let_through_what_they_are_for() {
    let (_cluster, group) = Cluster::with_group(Shape { nodes: 1, partitions: 2, ..Shape::default() }).await;
    let map = group.map("m");
    let mut key = map.events().key("b1").await.unwrap();
    let mut prefix = map.events().prefix("b").await.unwrap();
    for name in ["a", "b1", "b2", "c"] {
        map.put(name, "1").await.unwrap();
    }
    map.remove("b1").await.unwrap();
    let keys = async |events: &mut EventStream<MapChange>, count: usize| {
        let mut keys = Vec::new();
        for _ in 0..count {
            let event = soon("an event", events.next()).await.unwrap().unwrap();
            keys.push(event.change.key().to_owned());
        }
        keys.sort();
        keys
    };
    assert_eq!(keys(&mut key, 2).await, ["b1", "b1"]);
    assert_eq!(keys(&mut prefix, 3).await, ["b1", "b1", "b2"]);
}

#[tokio::test]
async fn every_kind_tells_what_has_changed() {
    let (_cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    let counter = group.counter("c");
    let mut events = counter.events().await.unwrap();
    counter.increment(3).await.unwrap();
    counter.set(1).await.unwrap();
    let changes = [next(&mut events).await, next(&mut events).await];
    let change = |value, previous| CounterChange { value, previous };
    assert_eq!(changes, [change(3, 0), change(1, 3)]);

    let value = group.value("v");
    let mut events = value.events().await.unwrap();
    value.set("x").ttl(Duration::from_millis(50)).await.unwrap();
    assert!(matches!(next(&mut events).await, ValueChange::Created { value } if value.value == "x"));
    assert!(matches!(next(&mut events).await, ValueChange::Deleted { expired: true, .. }));

    let set = group.set("s");
    let mut events = set.events().await.unwrap();
    set.add("e").await.unwrap();
    set.remove("e").await.unwrap();
    let element = || "e".to_owned();
    assert_eq!(next(&mut events).await, SetChange::Added { element: element() });
    assert_eq!(next(&mut events).await, SetChange::Removed { element: element(), expired: false });
}

async fn next<C>(events: &mut EventStream<C>) -> C {
    soon("an event", events.next()).await.unwrap().unwrap().change
}

fn short_history() -> Shape {
    let limits = Some(Limits { history_changes: 10, ..Limits::default() });
    Shape { nodes: 1, proxies: true, limits, ..Shape::default() }
}

#[tokio::test]
async fn whoever_comes_too_late_is_told_so() {
    let (_cluster, group) = Cluster::with_group(short_history()).await;
    let counter = group.counter("c");
    counter.increment(1).await.unwrap();
    let cursor = counter.events().await.unwrap().cursor().clone();
    for _ in 0..50 {
        counter.increment(1).await.unwrap();
    }
    let error = counter.events().after(cursor).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Compacted);
}

/// A stream that was cut off while more happened than the history holds says so, and goes on.
#[tokio::test]
async fn a_stream_that_missed_something_says_so_and_goes_on() {
    let (cluster, group) = Cluster::with_group(short_history()).await;
    let writer: Counter = cluster.direct_group().await.counter("c");
    writer.increment(1).await.unwrap();
    let mut events = group.counter("c").events().await.unwrap();
    writer.increment(1).await.unwrap();
    assert_eq!(next(&mut events).await.value, 2);
    cluster.proxies().for_each(super::proxy::Proxy::hold_back);
    for _ in 0..50 {
        writer.increment(1).await.unwrap();
    }
    cluster.proxies().for_each(super::proxy::Proxy::cut);
    cluster.proxies().for_each(super::proxy::Proxy::pass_on);
    let error = soon("the gap", events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Compacted);
    // Whoever reads the state now misses nothing from here on.
    assert_eq!(writer.get().await.unwrap(), 52);
    writer.increment(1).await.unwrap();
    assert_eq!(next(&mut events).await.value, 53);
}

/// A copy of a map, kept by what a watch says.
#[derive(Default)]
struct Copy {
    entries: BTreeMap<String, String>,
    resets: usize,
    complete: usize,
}

impl Copy {
    fn take(&mut self, step: Watched<Entry, MapChange>) {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        match step {
            Watched::Reset { .. } => {
                self.entries.clear();
                self.resets += 1;
            }
            Watched::Present(entry) => drop(self.entries.insert(entry.key, text(&entry.value))),
            Watched::Complete { .. } => self.complete += 1,
            Watched::Changed(event) => match event.change {
                MapChange::Inserted { key, value } | MapChange::Updated { key, value, .. } => {
                    self.entries.insert(key, text(&value.value));
                }
                MapChange::Removed { key, .. } => drop(self.entries.remove(&key)),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_keeps_a_copy_without_a_gap() {
    let (cluster, group) =
        Cluster::with_group(Shape { partitions: 1, proxies: true, ..short_history() }).await;
    let map = group.map("m");
    let mut watch = map.watch();
    let mut copy = Copy::default();
    // The partition has no history yet, and the map is not there: the smallest place for a gap to be.
    while copy.complete == 0 {
        copy.take(soon("the first listing", watch.next()).await.unwrap().unwrap());
    }
    assert!(copy.entries.is_empty());
    let writer = cluster.direct_group().await.map("m");
    for key in 0..5 {
        writer.put(format!("{key}"), "1").await.unwrap();
    }
    while copy.entries.len() < 5 {
        copy.take(soon("a change", watch.next()).await.unwrap().unwrap());
    }
    let resets = copy.resets;
    // Cut off, while more happens than the history holds.
    cluster.proxies().for_each(super::proxy::Proxy::hold_back);
    for key in 0..40 {
        writer.put(format!("{key}"), "2").await.unwrap();
    }
    writer.remove("0").await.unwrap();
    cluster.proxies().for_each(super::proxy::Proxy::cut);
    cluster.proxies().for_each(super::proxy::Proxy::pass_on);
    while !(copy.entries.len() == 39 && copy.entries.values().all(|value| value == "2")) {
        copy.take(soon("the copy is right again", watch.next()).await.unwrap().unwrap());
    }
    assert!(copy.resets > resets, "it was told to begin anew");
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_holds_nobody_up() {
    let (_cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    let counter = group.counter("c");
    counter.increment(1).await.unwrap();
    let mut events = counter.events().await.unwrap();
    // Far more deliveries than the client keeps for a reader.
    for _ in 0..500 {
        counter.increment(1).await.unwrap();
    }
    for expected in 2..=501 {
        assert_eq!(next(&mut events).await.value, expected);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_not_watched_any_more() {
    let (cluster, group) = Cluster::with_group(Shape { nodes: 1, ..Shape::default() }).await;
    let events = group.counter("c").events().await.unwrap();
    assert_eq!(cluster.replica(0, 0).await.watches, 1);
    drop(events);
    until("the watch ends", async || (cluster.replica(0, 0).await.watches == 0).then_some(())).await;
}
