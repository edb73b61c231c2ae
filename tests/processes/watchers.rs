//! Watchers of everything that the writers write.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use synod_client::{Client, CounterChange, Event, EventStream, MapChange};
use synod_types::{PartitionId, PrimitiveId, PrimitiveKind};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::judge::Acknowledged;
use crate::load::{Last, MAP, counters};
use crate::view::{PATIENCE, View};

/// How many watch the map, each for itself.
const MAP_WATCHERS: usize = 3;

/// A change of the map, as a watcher saw it: position, key, version, version before.
type Change = (u64, String, u64, u64);

/// The watchers at work.
pub(crate) struct Watchers {
    client: Client,
    goal: tokio::sync::watch::Sender<Option<Last>>,
    counters: Vec<(PrimitiveId, JoinHandle<i64>)>,
    maps: Vec<JoinHandle<BTreeMap<PartitionId, Vec<Change>>>>,
}

impl Watchers {
    /// Begins to watch: whatever is written after this is seen.
    pub(crate) async fn start(view: &View) -> Self {
        let (client, group) = view.client().await;
        let goal = tokio::sync::watch::Sender::new(None);
        let mut watched = Vec::new();
        for name in counters() {
            let id = PrimitiveId::of("default", PrimitiveKind::Counter, &name);
            let stream = group.counter(name).events().await.unwrap();
            watched.push((id, tokio::spawn(watch_counter(id, stream, goal.subscribe()))));
        }
        let mut maps = Vec::new();
        for _ in 0..MAP_WATCHERS {
            let stream = group.map(MAP).events().await.unwrap();
            maps.push(tokio::spawn(watch_map(stream, goal.subscribe())));
        }
        Self { client, goal, counters: watched, maps }
    }

    /// Waits until everything is seen that was there at the end, and judges what was seen.
    pub(crate) async fn judge(self, last: &Last, acknowledged: &Acknowledged) {
        self.goal.send_replace(Some(last.clone()));
        for (counter, watcher) in self.counters {
            let seen = end(watcher).await;
            assert_eq!(seen, last.increments[&counter], "the watcher of a counter saw every increment once");
        }
        let mut first: Option<BTreeMap<PartitionId, Vec<Change>>> = None;
        for watcher in self.maps {
            let seen = end(watcher).await;
            judge_map(&seen, acknowledged);
            assert_eq!(*first.get_or_insert_with(|| seen.clone()), seen, "all watchers saw the same");
        }
        self.client.close().await;
    }
}

async fn end<T>(watcher: JoinHandle<T>) -> T {
    timeout(PATIENCE, watcher).await.expect("a watcher sees everything in time").unwrap()
}

type Goals = tokio::sync::watch::Receiver<Option<Last>>;

/// Takes events until all that the goal names are seen.
async fn take<C>(
    stream: &mut EventStream<C>,
    goals: &mut Goals,
    is_reached: impl Fn(&Last) -> bool,
) -> Option<Event<C>> {
    loop {
        if goals.borrow_and_update().as_ref().is_some_and(&is_reached) {
            return None;
        }
        tokio::select! {
            event = stream.next() => return Some(event.expect("a stream goes on").expect("nothing is missed")),
            changed = goals.changed() => changed.expect("the run goes on"),
        }
    }
}

/// Sees that every change begins where the last one ended. Returns what the counter is at the end.
async fn watch_counter(id: PrimitiveId, mut stream: EventStream<CounterChange>, mut goals: Goals) -> i64 {
    let (mut value, mut position) = (0, 0);
    while let Some(event) = take(&mut stream, &mut goals, |goal| goal.increments[&id] <= value).await {
        assert_eq!(event.change, CounterChange { previous: value, value: value + 1 }, "{event:?}");
        assert!(event.position.get() > position, "after position {position}: {event:?}");
        (value, position) = (event.change.value, event.position.get());
    }
    value
}

async fn watch_map(
    mut stream: EventStream<MapChange>,
    mut goals: Goals,
) -> BTreeMap<PartitionId, Vec<Change>> {
    let mut seen: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let is_reached =
            |goal: &Last| goal.versions.iter().all(|(key, last)| versions.get(key).unwrap_or(&0) >= last);
        let Some(event) = take(&mut stream, &mut goals, is_reached).await else { return seen };
        let (key, version, previous) = match event.change {
            MapChange::Inserted { key, value } => (key, value.version.get(), 0),
            MapChange::Updated { key, value, previous } => (key, value.version.get(), previous.version.get()),
            MapChange::Removed { .. } => panic!("nobody removes anything: {event:?}"),
        };
        assert_eq!(event.index.get(), version, "a version is the index of its command");
        versions.insert(key.clone(), version);
        seen.entry(event.partition).or_default().push((event.position.get(), key, version, previous));
    }
}

/// Every change once, in order, and each of them a write that was acknowledged or may have happened.
fn judge_map(seen: &BTreeMap<PartitionId, Vec<Change>>, acknowledged: &Acknowledged) {
    let mut unknown = 0;
    for (partition, changes) in seen {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut before = 0;
        for (position, key, version, previous) in changes {
            assert!(*position > before, "position {position} after {before}");
            before = *position;
            let known = last.insert(key, *version).unwrap_or(0);
            assert_eq!(*previous, known, "{key} of version {version} follows what was seen before");
            match acknowledged.versions.get(&(*partition, *version)) {
                Some(written) => assert_eq!(written, key),
                None => unknown += 1,
            }
        }
    }
    assert!(unknown <= acknowledged.unknown_puts, "{unknown} changes that nobody made");
    let count: usize = seen.values().map(Vec::len).sum();
    assert_eq!(count as u64 - unknown, acknowledged.versions.len() as u64, "every write is seen");
}
