//! The engine that keeps everything in memory, on a persistent B-tree.

use imbl::OrdSet;

use super::pair::Pair;
use super::{Blob, Fault, KeyRange, Scan, StateHash, StateRead, StateSnapshot, StateStore, Table};

/// A [`StateStore`] in memory. It never faults, and a snapshot shares its nodes until one of them is written.
#[derive(Clone, Default)]
pub struct MemoryStore {
    tables: Tables,
    hash: StateHash,
}

/// One tree for each table, so that small tables stay shallow.
#[derive(Clone, Default)]
struct Tables {
    meta: OrdSet<Pair>,
    registry: OrdSet<Pair>,
    sessions: OrdSet<Pair>,
    results: OrdSet<Pair>,
    ownership: OrdSet<Pair>,
    timers: OrdSet<Pair>,
    data: OrdSet<Pair>,
}

impl Tables {
    const fn get(&self, table: Table) -> &OrdSet<Pair> {
        match table {
            Table::Meta => &self.meta,
            Table::Registry => &self.registry,
            Table::Sessions => &self.sessions,
            Table::Results => &self.results,
            Table::Ownership => &self.ownership,
            Table::Timers => &self.timers,
            Table::Data => &self.data,
        }
    }

    const fn get_mut(&mut self, table: Table) -> &mut OrdSet<Pair> {
        match table {
            Table::Meta => &mut self.meta,
            Table::Registry => &mut self.registry,
            Table::Sessions => &mut self.sessions,
            Table::Results => &mut self.results,
            Table::Ownership => &mut self.ownership,
            Table::Timers => &mut self.timers,
            Table::Data => &mut self.data,
        }
    }
}

impl MemoryStore {
    /// A pair is no longer there: returns its value.
    fn removed(&mut self, table: Table, key: &[u8], pair: &Pair) -> Blob {
        let value = pair.value();
        self.hash.remove(table, key, &value);
        value
    }
}

impl StateRead for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Blob>, Fault> {
        Ok(self.tables.get(table).get(key).map(Pair::value))
    }

    fn scan<'a>(&'a self, table: Table, range: KeyRange) -> Scan<'a> {
        match range.bounds() {
            Some(bounds) => {
                let pairs = self.tables.get(table).range::<_, [u8]>(bounds);
                Box::new(pairs.map(|pair| Ok((pair.key(), pair.value()))))
            }
            None => Box::new(std::iter::empty()),
        }
    }

    fn len(&self) -> u64 {
        Table::ALL.iter().map(|table| self.tables.get(*table).len() as u64).sum()
    }

    fn hash(&self) -> StateHash {
        self.hash
    }
}

impl StateStore for MemoryStore {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<Option<Blob>, Fault> {
        let old = self.tables.get_mut(table).insert(Pair::new(key, value)?);
        self.hash.add(table, key, value);
        Ok(old.map(|old| self.removed(table, key, &old)))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<Option<Blob>, Fault> {
        let old = self.tables.get_mut(table).remove(key);
        Ok(old.map(|old| self.removed(table, key, &old)))
    }

    fn commit(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn StateSnapshot> {
        Box::new(self.clone())
    }
}

impl StateSnapshot for MemoryStore {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A write: the number of a table, a key, and the value or the wish to delete.
    type Write = (u8, Vec<u8>, Option<Vec<u8>>);

    /// Replays writes on the store and on a plain map, and compares everything that can be seen.
    fn check(writes: &[Write]) {
        let mut store = MemoryStore::default();
        let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for (table, key, value) in writes {
            let table = Table::from_number(table % 7 + 1).unwrap();
            let old = match value {
                Some(value) => {
                    assert_eq!(
                        store.put(table, key, value).unwrap().map(|old| old.to_vec()),
                        model.insert((table, key.clone()), value.clone())
                    );
                    continue;
                }
                None => store.delete(table, key).unwrap(),
            };
            assert_eq!(old.map(|old| old.to_vec()), model.remove(&(table, key.clone())));
        }
        let mut hash = StateHash::default();
        for ((table, key), value) in &model {
            hash.add(*table, key, value);
            assert_eq!(store.get(*table, key).unwrap().as_deref(), Some(value.as_slice()));
        }
        assert_eq!(store.hash(), hash);
        assert_eq!(store.len(), model.len() as u64);
        for table in Table::ALL {
            let seen: Vec<_> = store
                .scan(table, KeyRange::all())
                .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap())
                .collect();
            let expected: Vec<_> = model
                .iter()
                .filter(|((of, _), _)| *of == table)
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            assert_eq!(seen, expected);
        }
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_sorted_map(
            writes in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(0u8..4, 0..3), any::<Option<Vec<u8>>>()), 0..200)
        ) {
            check(&writes);
        }
    }

    #[test]
    fn a_snapshot_does_not_change() {
        let mut store = MemoryStore::default();
        store.put(Table::Data, b"k", b"old").unwrap();
        let snapshot = store.snapshot();
        let hash = snapshot.hash();
        store.put(Table::Data, b"k", b"new").unwrap();
        store.delete(Table::Data, b"k").unwrap();
        assert_eq!(snapshot.get(Table::Data, b"k").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(snapshot.hash(), hash);
        assert_eq!(store.hash(), StateHash::default());
    }
}
