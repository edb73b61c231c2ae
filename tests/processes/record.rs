//! What clients saw, in the terms of the models.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use synod_client::{Error, Map, Versioned, Written};
use synod_testkit::linearizability::models::primitives::{Input, Output};
use synod_testkit::linearizability::models::{
    EntryAction, EntryAnswer, Shard, Versioned as Shown, counter, map,
};
use synod_testkit::linearizability::{Heard, Operation};
use synod_types::{Monotonic, PrimitiveId, PrimitiveKind};
use tokio::sync::Notify;

use crate::view::{PARTITIONS, PATIENCE};

pub(crate) type Op = Operation<Input, Output>;

/// The history of a run, by one clock.
pub(crate) struct Record {
    begun: Instant,
    history: Mutex<Vec<Op>>,
    /// How many writes of the map each partition has acknowledged.
    acknowledged: [AtomicU64; PARTITIONS],
    news: Notify,
}

impl Record {
    pub(crate) fn new() -> Self {
        let history = Mutex::new(Vec::new());
        Self { begun: Instant::now(), history, acknowledged: Default::default(), news: Notify::new() }
    }

    pub(crate) fn now(&self) -> Monotonic {
        Monotonic::from_nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap())
    }

    pub(crate) fn history(&self) -> Vec<Op> {
        self.history.lock().unwrap().clone()
    }

    /// Records what came of an operation. Returns the result if there is one.
    fn add<T: Clone>(
        &self,
        client: u64,
        input: Input,
        invoked_at: Monotonic,
        result: Result<T, Error>,
        output: impl Fn(Result<T, synod_types::ErrorCode>) -> Output,
    ) -> Option<T> {
        let result = result.map_err(synod_types::Error::from);
        // The client repeats a request under its session and sequence only, so its error speaks of all attempts.
        let operation = match Heard::of(result.as_ref(), false) {
            Heard::Answer(answer) => {
                let answer = output(answer.cloned());
                Operation::answered(client, input, invoked_at, self.now(), answer)
            }
            Heard::Unknown => Operation::open(client, input, invoked_at),
            Heard::NotDone => return None,
        };
        self.history.lock().unwrap().push(operation);
        result.ok()
    }

    pub(crate) async fn increment(&self, client: u64, on: &synod_client::Counter) -> Option<i64> {
        let invoked_at = self.now();
        let result = on.increment(1).await;
        let input = counter_input(on.name(), counter::Action::Increment(1));
        self.add(client, input, invoked_at, result, |value| Output::Counter(value.map(number)))
    }

    pub(crate) async fn count(&self, client: u64, on: &synod_client::Counter) -> Option<i64> {
        let invoked_at = self.now();
        let result = on.get().await;
        let input = counter_input(on.name(), counter::Action::Get);
        self.add(client, input, invoked_at, result, |value| Output::Counter(value.map(number)))
    }

    /// Records a read of a counter that went another way.
    pub(crate) fn counted(&self, client: u64, name: &str, invoked_at: Monotonic, value: i64) {
        let input = counter_input(name, counter::Action::Get);
        self.add(client, input, invoked_at, Ok(value), |value| Output::Counter(value.map(number)));
    }

    pub(crate) async fn put(&self, client: u64, on: &Map, key: &str, value: Bytes) -> Option<Written> {
        let invoked_at = self.now();
        let result = on.put(key, value.clone()).await;
        let input = map_input(on, key, EntryAction::Put { value, ttl: None, expected: 0 });
        let written = self.add(client, input, invoked_at, result, |written: Result<Written, _>| {
            one(written.map(|Written { version, previous }| EntryAnswer::Written {
                version: version.get(),
                previous: previous.map(shown),
            }))
        });
        if written.is_some() {
            self.acknowledged[home(on, key)].fetch_add(1, Ordering::SeqCst);
            self.news.notify_waiters();
        }
        written
    }

    pub(crate) async fn get(&self, client: u64, on: &Map, key: &str) -> Option<Option<Versioned>> {
        let invoked_at = self.now();
        let result = on.get(key).await;
        let input = map_input(on, key, EntryAction::Get);
        self.add(client, input, invoked_at, result, |found: Result<Option<Versioned>, _>| {
            let found = found.and_then(|found| found.ok_or(synod_types::ErrorCode::NotFound));
            one(found.map(|found| EntryAnswer::Found(shown(found))))
        })
    }

    /// Waits until every partition has acknowledged so many more writes.
    pub(crate) async fn progress(&self, more: u64) {
        let now = || self.acknowledged.each_ref().map(|count| count.load(Ordering::SeqCst));
        let goal = now().map(|count| count + more);
        let reached = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut news = std::pin::pin!(self.news.notified());
                news.as_mut().enable();
                if now().iter().zip(goal).all(|(count, goal)| *count >= goal) {
                    return;
                }
                news.await;
            }
        });
        assert!(reached.await.is_ok(), "after {PATIENCE:?} acknowledged {:?}, wanted {goal:?}", now());
    }
}

fn home(on: &Map, key: &str) -> usize {
    usize::try_from(on.partition_of(key).get()).unwrap()
}

fn id(kind: PrimitiveKind, name: &str) -> PrimitiveId {
    PrimitiveId::of("default", kind, name)
}

fn counter_input(name: &str, action: counter::Action) -> Input {
    Input::Counter(counter::Input { counter: id(PrimitiveKind::Counter, name), action })
}

fn map_input(on: &Map, key: &str, action: EntryAction) -> Input {
    let shard = Shard { primitive: id(PrimitiveKind::Map, on.name()), partition: on.partition_of(key) };
    Input::Map(map::Input { shard, action: map::Action::One(key.to_owned(), action) })
}

const fn number(value: i64) -> counter::Number {
    counter::Number { value, previous: None }
}

fn shown(Versioned { value, version }: Versioned) -> Shown {
    Shown { value, version: version.get() }
}

fn one(answer: Result<EntryAnswer, synod_types::ErrorCode>) -> Output {
    Output::Map(answer.map(map::Output::One))
}
