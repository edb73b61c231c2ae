//! The map against a plain sorted map, and against what watchers make of its events.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use synod_proto::map::v1 as wire;
use synod_proto::map::v1::event::{Event as What, Inserted, Removed, Updated};
use synod_proto::map::v1::transact_request::operation::Operation as Part;
use synod_proto::primitive::v1::command::Operation;
use synod_types::ErrorCode;

use super::tests::Map;

#[derive(Clone, Debug)]
struct Write {
    kind: WriteKind,
    key: &'static str,
    value: &'static [u8],
    ttl_ms: Option<u64>,
    expect: Expect,
}

#[derive(Clone, Copy, Debug)]
enum WriteKind {
    Put,
    Insert,
    Update,
    Remove,
    Check,
}

/// Which version a write expects.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Nothing,
    Current,
    Wrong,
}

#[derive(Clone, Debug)]
enum Step {
    One(Write),
    Transact(Vec<Write>),
    Clear,
    Advance(u64),
}

fn writes() -> impl Strategy<Value = Write> {
    let kinds = [WriteKind::Put, WriteKind::Insert, WriteKind::Update, WriteKind::Remove, WriteKind::Check];
    let expected = [Expect::Nothing, Expect::Current, Expect::Wrong];
    (
        prop::sample::select(kinds.to_vec()),
        prop::sample::select(&["a", "b", "c", "d"][..]),
        prop::sample::select(vec![&b"x"[..], b"y"]),
        prop::option::of(1u64..60),
        prop::sample::select(expected.to_vec()),
    )
        .prop_map(|(kind, key, value, ttl_ms, expect)| Write { kind, key, value, ttl_ms, expect })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => writes().prop_map(Step::One),
        2 => prop::collection::vec(writes(), 0..4).prop_map(Step::Transact),
        1 => Just(Step::Clear),
        3 => (1u64..40).prop_map(Step::Advance),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: &'static [u8],
    version: u64,
    deadline: Option<u64>,
}

/// What the map should be, written as plainly as can be.
#[derive(Clone, Default)]
struct Model(BTreeMap<&'static str, Entry>);

impl Model {
    fn expected_version(&self, write: &Write) -> u64 {
        let current = self.0.get(write.key).map_or(0, |entry| entry.version);
        match write.expect {
            Expect::Nothing => 0,
            Expect::Current => current,
            Expect::Wrong => current + 1,
        }
    }

    fn write(&mut self, write: &Write, index: u64, now: u64) -> Result<(), ErrorCode> {
        let expected = self.expected_version(write);
        let found = self.0.get(write.key).cloned();
        let version = found.as_ref().map_or(0, |entry| entry.version);
        let differs = expected != 0 && expected != version;
        match write.kind {
            WriteKind::Put if differs => return Err(ErrorCode::Conflict),
            WriteKind::Insert if found.is_some() => return Err(ErrorCode::AlreadyExists),
            WriteKind::Update | WriteKind::Remove if found.is_none() => return Err(ErrorCode::NotFound),
            WriteKind::Update | WriteKind::Remove if differs => return Err(ErrorCode::Conflict),
            WriteKind::Check if expected != version => return Err(ErrorCode::Conflict),
            _ => {}
        }
        let same = found.is_some_and(|entry| entry.value == write.value);
        match write.kind {
            WriteKind::Put if same && write.ttl_ms.is_none() => {}
            WriteKind::Put | WriteKind::Insert | WriteKind::Update => {
                let entry = Entry {
                    value: write.value,
                    version: index,
                    deadline: write.ttl_ms.map(|ttl_ms| now + ttl_ms),
                };
                self.0.insert(write.key, entry);
            }
            WriteKind::Remove => {
                self.0.remove(write.key);
            }
            WriteKind::Check => {}
        }
        Ok(())
    }

    fn transact(&mut self, writes: &[Write], index: u64, now: u64) -> Result<(), ErrorCode> {
        let mut after = self.clone();
        let mut used = Vec::new();
        for write in writes {
            // A write is judged by what was there before the transaction; then by whether its key was used before.
            self.clone().write(write, index, now)?;
            if used.contains(&write.key) {
                return Err(ErrorCode::Conflict);
            }
            used.push(write.key);
            after.write(write, index, now)?;
        }
        *self = after;
        Ok(())
    }
}

fn part(model: &Model, write: &Write) -> Part {
    let (key, value) = (write.key.to_owned(), Bytes::from_static(write.value));
    let (ttl_ms, expected_version) = (write.ttl_ms, model.expected_version(write));
    let primitive = None;
    match write.kind {
        WriteKind::Put => Part::Put(wire::PutRequest { primitive, key, value, ttl_ms, expected_version }),
        WriteKind::Insert => Part::Insert(wire::InsertRequest { primitive, key, value, ttl_ms }),
        WriteKind::Update => {
            Part::Update(wire::UpdateRequest { primitive, key, value, ttl_ms, expected_version })
        }
        WriteKind::Remove => Part::Remove(wire::RemoveRequest { primitive, key, expected_version }),
        WriteKind::Check => Part::Check(wire::CheckRequest { key, expected_version }),
    }
}

/// Sends one write as the command that it is; a check exists only within a transaction.
fn send(map: &mut Map, part: Part) -> Result<(), ErrorCode> {
    let id = map.id;
    match part {
        Part::Put(request) => {
            let response = map.machine.apply(id, Operation::MapPut(request));
            response.map(|_: wire::PutResponse| ())
        }
        Part::Insert(request) => {
            let response = map.machine.apply(id, Operation::MapInsert(request));
            response.map(|_: wire::InsertResponse| ())
        }
        Part::Update(request) => {
            let response = map.machine.apply(id, Operation::MapUpdate(request));
            response.map(|_: wire::UpdateResponse| ())
        }
        Part::Remove(request) => {
            let response = map.machine.apply(id, Operation::MapRemove(request));
            response.map(|_: wire::RemoveResponse| ())
        }
        check @ Part::Check(_) => map.transact([check]).map(|_| ()),
    }
}

/// What somebody knows of a map who has only seen its events.
#[derive(Default)]
struct Watcher(BTreeMap<String, wire::Versioned>);

impl Watcher {
    /// Follows an event, whose account of what was there before must be what the watcher knows.
    fn see(&mut self, event: wire::Event) {
        let known = self.0.remove(&event.key);
        let value = match event.event.unwrap() {
            What::Inserted(Inserted { value }) => {
                assert_eq!(known, None);
                value
            }
            What::Updated(Updated { value, previous }) => {
                assert!(known.is_some());
                assert_eq!(known, previous);
                value
            }
            What::Removed(Removed { value, .. }) => {
                assert!(known.is_some());
                assert_eq!(known, value);
                None
            }
        };
        self.0.extend(value.map(|value| (event.key, value)));
    }
}

fn compare(map: &mut Map, model: &Model, watcher: &mut Watcher) {
    for event in map.events() {
        watcher.see(event);
    }
    let seen: Vec<_> =
        watcher.0.iter().map(|(key, entry)| (key.as_str(), &*entry.value, entry.version)).collect();
    let expected: Vec<_> = model.0.iter().map(|(key, entry)| (*key, entry.value, entry.version)).collect();
    assert_eq!(seen, expected, "what watchers know");
    assert_eq!(map.len(), expected.len() as u64);
    for key in ["a", "b", "c", "d"] {
        let expected = model.0.get(key).map(|entry| (entry.value.to_vec(), entry.version));
        assert_eq!(map.get(key), expected.ok_or(ErrorCode::NotFound));
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_sorted_map(steps in prop::collection::vec(steps(), 1..60)) {
        let mut map = Map::new();
        let mut model = Model::default();
        let mut watcher = Watcher::default();
        for step in steps {
            let (index, now) = (map.machine.index.next().get(), map.machine.now.get());
            match step {
                Step::One(write) => {
                    let part = part(&model, &write);
                    prop_assert_eq!(send(&mut map, part), model.write(&write, index, now));
                }
                Step::Transact(writes) => {
                    let parts: Vec<_> = writes.iter().map(|write| part(&model, write)).collect();
                    let expected = model.transact(&writes, index, now);
                    prop_assert_eq!(map.transact(parts).map(|_| ()), expected);
                }
                Step::Clear => {
                    prop_assert_eq!(map.clear(), model.0.len() as u64);
                    model.0.clear();
                }
                Step::Advance(duration_ms) => {
                    let before = model.0.len();
                    model.0.retain(|_, entry| entry.deadline.is_none_or(|deadline| deadline > now + duration_ms));
                    prop_assert_eq!(map.machine.advance_ms(duration_ms), (before - model.0.len()) as u64);
                }
            }
            compare(&mut map, &model, &mut watcher);
        }
    }
}
