//! Writers, each of which sends its next operation when the last one is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use synod_client::{Client, Group};
use synod_testkit::sim::Dice;
use synod_types::{PrimitiveId, PrimitiveKind};
use tokio::task::JoinHandle;

use crate::record::Record;
use crate::view::View;

pub(crate) const WRITERS: u64 = 64;
const CLIENTS: u64 = 16;
const COUNTERS: u64 = 5;
const KEYS: u64 = 24;

/// The map that everybody writes.
pub(crate) const MAP: &str = "shared";

/// Between two operations of a writer, so that a run is long in time and short in operations.
const PACE: Duration = Duration::from_millis(20);

pub(crate) fn counters() -> impl Iterator<Item = String> {
    (0..COUNTERS).map(|number| format!("counter-{number}"))
}

pub(crate) fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|number| format!("key-{number}"))
}

/// The writers at work.
pub(crate) struct Load {
    pub(crate) record: Arc<Record>,
    stop: Arc<AtomicBool>,
    clients: Vec<(Client, Group)>,
    writers: Vec<JoinHandle<()>>,
}

/// What was there at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Last {
    pub(crate) increments: BTreeMap<PrimitiveId, i64>,
    /// The version under each key, 0 for none.
    pub(crate) versions: BTreeMap<String, u64>,
}

impl Load {
    /// Sets writers to work, whose values have this size.
    pub(crate) async fn start(view: &View, value_bytes: usize) -> Self {
        let clients = join_all((0..CLIENTS).map(|_| view.client())).await;
        let (record, stop) = (Arc::new(Record::new()), Arc::new(AtomicBool::new(false)));
        let writers = (0..WRITERS).map(|number| {
            let (_, group) = &clients[usize::try_from(number % CLIENTS).unwrap()];
            let writer = Writer {
                number,
                group: group.clone(),
                record: record.clone(),
                stop: stop.clone(),
                value_bytes,
            };
            tokio::spawn(writer.run())
        });
        let writers = writers.collect();
        Self { record, stop, clients, writers }
    }

    /// Lets every writer finish its last operation, reads everything back, and closes the clients.
    pub(crate) async fn finish(self) -> Last {
        let Self { record, stop, clients, writers } = self;
        stop.store(true, Ordering::SeqCst);
        join_all(writers).await.into_iter().for_each(Result::unwrap);
        let (_, group) = &clients[0];
        let mut last = Last::default();
        for name in counters() {
            let id = PrimitiveId::of("default", PrimitiveKind::Counter, &name);
            let value = record.count(WRITERS, &group.counter(name)).await.expect("the counter can be read");
            last.increments.insert(id, value);
        }
        let map = group.map(MAP);
        for key in keys() {
            let found = record.get(WRITERS, &map, &key).await.expect("the map can be read");
            last.versions.insert(key, found.map_or(0, |found| found.version.get()));
        }
        join_all(clients.iter().map(|(client, _)| client.close())).await;
        last
    }
}

struct Writer {
    number: u64,
    group: Group,
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
    value_bytes: usize,
}

impl Writer {
    async fn run(self) {
        let counters: Vec<_> = counters().map(|name| self.group.counter(name)).collect();
        let (map, keys): (_, Vec<_>) = (self.group.map(MAP), keys().collect());
        let mut dice = Dice::new(self.number);
        let mut pick = |count: usize| usize::try_from(dice.below(count as u64)).unwrap();
        let mut done = 0;
        while !self.stop.load(Ordering::SeqCst) {
            done += 1;
            let key = &keys[pick(keys.len())];
            match pick(8) {
                0..=2 => drop(self.record.increment(self.number, &counters[pick(counters.len())]).await),
                3..=5 => {
                    let mut value = format!("{}-{done}-", self.number).into_bytes();
                    value.resize(self.value_bytes.max(value.len()), b'.');
                    drop(self.record.put(self.number, &map, key, value.into()).await);
                }
                6 => drop(self.record.get(self.number, &map, key).await),
                _ => drop(self.record.count(self.number, &counters[pick(counters.len())]).await),
            }
            tokio::time::sleep(PACE).await;
        }
    }
}
