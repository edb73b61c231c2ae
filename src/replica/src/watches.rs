//! Watches: cursors over the history. Apply never waits for one.
//!
//! A watch is a position and a filter. New changes are looked up in an index by primitive and key, so a change costs
//! what its own watchers cost and nothing for the others. For each client a bounded number of bytes is handed out
//! before it must report that some have left; a watch that is over that stops where it is and later reads on in the
//! history. One that falls out of the history is told so, and ended.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use synod_primitives::Change;
use synod_types::{Position, PrimitiveId};

use crate::event::{ClientId, Tag};
use crate::machine::{History, Recorded};

/// What a watch is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) primitive: PrimitiveId,
    pub(crate) keys: Keys,
}

/// Which keys of a primitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    All,
    Exactly(Bytes),
    Prefix(Bytes),
}

impl Filter {
    fn matches(&self, change: &Change) -> bool {
        self.primitive == change.primitive
            && match &self.keys {
                Keys::All => true,
                Keys::Exactly(key) => change.key == *key,
                Keys::Prefix(prefix) => change.key.starts_with(prefix),
            }
    }
}

/// Names a watch: the client and the tag under which it asked.
pub(crate) type WatchId = (ClientId, Tag);

/// Events for one watch.
#[derive(Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) watch: WatchId,
    pub(crate) events: Vec<Bytes>,
    /// The watch has everything up to here.
    pub(crate) position: Position,
}

#[derive(Debug)]
struct Watch {
    filter: Filter,
    /// Everything up to here is handed out.
    position: Position,
    /// It reads on in the history when its client has room again.
    behind: bool,
}

#[derive(Debug, Default)]
struct Client {
    bytes_in_flight: usize,
    behind: BTreeSet<Tag>,
}

/// The watches on one primitive, by what they filter.
#[derive(Debug, Default)]
struct ByKey {
    all: BTreeSet<WatchId>,
    exactly: BTreeMap<Bytes, BTreeSet<WatchId>>,
    prefix: BTreeMap<Bytes, BTreeSet<WatchId>>,
    /// The lengths that occur in `prefix`, with how often.
    prefix_lengths: BTreeMap<usize, usize>,
}

/// All watches of a replica.
#[derive(Debug)]
pub(crate) struct Watches {
    watches: BTreeMap<WatchId, Watch>,
    index: BTreeMap<PrimitiveId, ByKey>,
    clients: BTreeMap<ClientId, Client>,
    /// Watches that are behind and whose client may have room.
    ready: BTreeSet<WatchId>,
    /// Every watch that is not behind has everything up to here.
    seen: Position,
    bytes_in_flight_max: usize,
}

impl Watches {
    pub(crate) fn new(seen: Position, bytes_in_flight_max: usize) -> Self {
        Self {
            watches: BTreeMap::new(),
            index: BTreeMap::new(),
            clients: BTreeMap::new(),
            ready: BTreeSet::new(),
            seen,
            bytes_in_flight_max,
        }
    }

    /// How many watches there are.
    pub(crate) fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether there is a watch of this name.
    pub(crate) fn contains(&self, watch: WatchId) -> bool {
        self.watches.contains_key(&watch)
    }

    /// Adds a watch that wants everything after `position`, which the history must reach back to.
    pub(crate) fn add(&mut self, watch: WatchId, filter: Filter, position: Position) {
        self.index.entry(filter.primitive).or_default().insert(&filter.keys, watch);
        let behind = position < self.seen;
        let client = self.clients.entry(watch.0).or_default();
        if behind {
            client.behind.insert(watch.1);
            self.ready.insert(watch);
        }
        self.watches.insert(watch, Watch { filter, position, behind });
    }

    /// Ends a watch; tells whether there was one.
    pub(crate) fn remove(&mut self, watch: WatchId) -> bool {
        let Some(removed) = self.watches.remove(&watch) else { return false };
        let primitive = removed.filter.primitive;
        if let Some(by_key) = self.index.get_mut(&primitive) {
            by_key.remove(&removed.filter.keys, watch);
            if by_key.is_empty() {
                self.index.remove(&primitive);
            }
        }
        if let Some(client) = self.clients.get_mut(&watch.0) {
            client.behind.remove(&watch.1);
        }
        self.ready.remove(&watch);
        true
    }

    /// Ends all watches of a client.
    pub(crate) fn remove_client(&mut self, client: ClientId) {
        let tags: Vec<_> =
            self.watches.range((client, Tag::MIN)..=(client, Tag::MAX)).map(|(watch, _)| *watch).collect();
        for watch in tags {
            self.remove(watch);
        }
        self.clients.remove(&client);
    }

    /// Bytes of events for a client have left.
    pub(crate) fn sent(&mut self, client: ClientId, bytes: usize) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.bytes_in_flight = state.bytes_in_flight.saturating_sub(bytes);
        if state.bytes_in_flight < self.bytes_in_flight_max {
            self.ready.extend(state.behind.iter().map(|tag| (client, *tag)));
        }
    }

    /// Begins anew on another history: every watch reads on from where it is.
    pub(crate) fn rebase(&mut self) {
        for (watch, state) in &mut self.watches {
            if !state.behind {
                state.position = state.position.max(self.seen);
            }
            state.behind = true;
            self.clients.entry(watch.0).or_default().behind.insert(watch.1);
            self.ready.insert(*watch);
        }
    }

    /// Hands out what is new in the history, and what those that are behind have room for. Returns the deliveries,
    /// and the watches that fell out of the history and are ended.
    pub(crate) fn advance(&mut self, history: &History) -> (Vec<Delivery>, Vec<WatchId>) {
        let mut deliveries: BTreeMap<WatchId, Vec<Bytes>> = BTreeMap::new();
        if !self.watches.is_empty() {
            if history.reaches_back_to(self.seen) {
                for recorded in history.since(self.seen) {
                    self.hand_out(recorded, &mut deliveries);
                }
            } else {
                // So much was applied at once that some of it is gone already.
                self.rebase();
            }
        }
        self.seen = history.last();
        let mut deliveries: Vec<_> = deliveries
            .into_iter()
            .map(|(watch, events)| {
                let position = self.watches.get(&watch).map_or(self.seen, |state| state.position);
                Delivery { watch, events, position }
            })
            .collect();
        let lost = self.catch_up(history, &mut deliveries);
        (deliveries, lost)
    }

    /// Hands one new change to those who watch it.
    fn hand_out(&mut self, recorded: &Recorded, deliveries: &mut BTreeMap<WatchId, Vec<Bytes>>) {
        let Some(by_key) = self.index.get(&recorded.change.primitive) else { return };
        for id in by_key.watching(&recorded.change.key) {
            let (Some(watch), Some(client)) = (self.watches.get_mut(&id), self.clients.get_mut(&id.0)) else {
                continue;
            };
            if watch.behind || recorded.position <= watch.position {
                continue;
            }
            if client.bytes_in_flight >= self.bytes_in_flight_max {
                watch.behind = true;
                client.behind.insert(id.1);
                continue;
            }
            let event = recorded.encoded().clone();
            client.bytes_in_flight += event.len();
            watch.position = recorded.position;
            deliveries.entry(id).or_default().push(event);
        }
    }

    /// Lets watches that are behind read on while their clients have room.
    fn catch_up(&mut self, history: &History, deliveries: &mut Vec<Delivery>) -> Vec<WatchId> {
        let mut lost = Vec::new();
        for id in std::mem::take(&mut self.ready) {
            let (Some(watch), Some(client)) = (self.watches.get_mut(&id), self.clients.get_mut(&id.0)) else {
                continue;
            };
            if client.bytes_in_flight >= self.bytes_in_flight_max {
                continue;
            }
            if !history.reaches_back_to(watch.position) {
                lost.push(id);
                continue;
            }
            let mut events = Vec::new();
            for recorded in history.since(watch.position) {
                if client.bytes_in_flight >= self.bytes_in_flight_max {
                    break;
                }
                watch.position = recorded.position;
                if watch.filter.matches(&recorded.change) {
                    let event = recorded.encoded().clone();
                    client.bytes_in_flight += event.len();
                    events.push(event);
                }
            }
            if watch.position >= history.last() {
                watch.behind = false;
                client.behind.remove(&id.1);
            }
            deliveries.push(Delivery { watch: id, events, position: watch.position });
        }
        for watch in &lost {
            self.remove(*watch);
        }
        lost
    }

    /// Tells every watch that is not behind, and has not been told since, how far it has come.
    pub(crate) fn progress(&mut self) -> Vec<Delivery> {
        let seen = self.seen;
        let told = |(id, watch): (&WatchId, &mut Watch)| {
            (!watch.behind && watch.position < seen).then(|| {
                watch.position = seen;
                Delivery { watch: *id, events: Vec::new(), position: seen }
            })
        };
        self.watches.iter_mut().filter_map(told).collect()
    }
}

impl ByKey {
    fn insert(&mut self, keys: &Keys, watch: WatchId) {
        match keys {
            Keys::All => drop(self.all.insert(watch)),
            Keys::Exactly(key) => drop(self.exactly.entry(key.clone()).or_default().insert(watch)),
            Keys::Prefix(prefix) => {
                self.prefix.entry(prefix.clone()).or_default().insert(watch);
                *self.prefix_lengths.entry(prefix.len()).or_default() += 1;
            }
        }
    }

    fn remove(&mut self, keys: &Keys, watch: WatchId) {
        let from = |map: &mut BTreeMap<Bytes, BTreeSet<WatchId>>, key: &Bytes| {
            if let Some(watches) = map.get_mut(key) {
                watches.remove(&watch);
                if watches.is_empty() {
                    map.remove(key);
                }
            }
        };
        match keys {
            Keys::All => drop(self.all.remove(&watch)),
            Keys::Exactly(key) => from(&mut self.exactly, key),
            Keys::Prefix(prefix) => {
                from(&mut self.prefix, prefix);
                if let Some(count) = self.prefix_lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.prefix_lengths.remove(&prefix.len());
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.exactly.is_empty() && self.prefix.is_empty()
    }

    /// Everybody who watches a key.
    fn watching(&self, key: &[u8]) -> Vec<WatchId> {
        let mut found: Vec<_> = self.all.iter().copied().collect();
        found.extend(self.exactly.get(key).into_iter().flatten());
        for length in self.prefix_lengths.keys() {
            let Some(prefix) = key.get(..*length) else { break };
            found.extend(self.prefix.get(prefix).into_iter().flatten());
        }
        found
    }
}
