//! The set against a plain sorted map of deadlines, and the handle through which the tests of its commands speak to it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Delete, DeleteResponse, Scan, event, scan};
use synod_proto::set::v1 as wire;
use synod_proto::set::v1::event::{Event as What, Removed};
use synod_storage::state::StateStore as _;
use synod_types::{ErrorCode, PartitionId, PrimitiveId, PrimitiveKind, SlotTable};

use crate::testing::Machine;

/// One set on a machine of its own.
pub(super) struct Set {
    pub(super) machine: Machine,
    id: PrimitiveId,
}

impl Set {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Set, "s");
        Self { machine, id }
    }

    pub(super) fn add(&mut self, element: &str, ttl_ms: Option<u64>) -> Result<bool, ErrorCode> {
        let request = wire::AddRequest { element: element.into(), ttl_ms, ..Default::default() };
        let response: wire::AddResponse = self.machine.apply(self.id, Operation::SetAdd(request))?;
        Ok(response.added)
    }

    pub(super) fn remove(&mut self, element: &str) -> Result<bool, ErrorCode> {
        let request = wire::RemoveRequest { element: element.into(), ..Default::default() };
        let response: wire::RemoveResponse = self.machine.apply(self.id, Operation::SetRemove(request))?;
        Ok(response.removed)
    }

    pub(super) fn contains(&mut self, element: &str) -> Result<bool, ErrorCode> {
        let request = wire::ContainsRequest { element: element.into(), ..Default::default() };
        let response: wire::ContainsResponse =
            self.machine.query(self.id, QueryOperation::SetContains(request))?;
        Ok(response.contains)
    }

    pub(super) fn clear(&mut self) -> u64 {
        let request = Operation::SetClear(wire::ClearRequest::default());
        let response: wire::ClearResponse = self.machine.apply(self.id, request).unwrap();
        response.removed
    }

    pub(super) fn len(&mut self) -> u64 {
        let request = QueryOperation::SetLen(wire::LenRequest::default());
        let response: wire::LenResponse = self.machine.query(self.id, request).unwrap();
        response.elements
    }

    fn list(&self, prefix: &str) -> Vec<String> {
        let request = Scan {
            primitive: self.id.get(),
            operation: Some(scan::Operation::SetList(wire::ListRequest {
                prefix: prefix.into(),
                ..Default::default()
            })),
        };
        let mut chunks = crate::scan(self.machine.store.snapshot(), self.machine.environment(), &request)
            .unwrap()
            .unwrap();
        let mut elements = Vec::new();
        while let Some(chunk) = chunks.next_chunk().unwrap() {
            let chunk: wire::ListResponse = prost::Message::decode(chunk).unwrap();
            elements.extend(chunk.elements);
        }
        elements
    }

    fn events(&mut self) -> Vec<wire::Event> {
        let events = self.machine.take_events().into_iter();
        events
            .map(|event| match event {
                event::Event::Set(event) => event,
                other => panic!("a set emits set events, not {other:?}"),
            })
            .collect()
    }
}

#[test]
fn elements_and_ttls_out_of_bounds_are_refused() {
    let mut set = Set::new();
    set.machine.limits.key_bytes = 3;
    assert_eq!(set.add("abc", Some(1)), Ok(true));
    assert_eq!(set.add("abcd", None), Err(ErrorCode::Invalid));
    assert_eq!(set.machine.last_error(), "the element has 4 bytes: use at most 3");
    assert_eq!(set.add("", None), Err(ErrorCode::Invalid));
    assert_eq!(set.add("a", Some(0)), Err(ErrorCode::Invalid));
    assert_eq!(set.remove(""), Err(ErrorCode::Invalid));
    assert_eq!(set.contains("abcd"), Err(ErrorCode::Invalid));
}

#[test]
fn an_element_of_another_partition_is_refused() {
    let mut set = Set::new();
    let slots = SlotTable::new(2).unwrap();
    let elsewhere = (0..)
        .map(|number| format!("e{number}"))
        .find(|element| slots.partition_of(element.as_bytes()) == PartitionId(1))
        .unwrap();
    set.machine.placement.slots = slots;
    assert_eq!(set.add(&elsewhere, None), Err(ErrorCode::WrongPartition));
    assert_eq!(set.remove(&elsewhere), Err(ErrorCode::WrongPartition));
    assert_eq!(set.contains(&elsewhere), Err(ErrorCode::WrongPartition));
}

#[test]
fn expiry_is_a_removal_that_says_so() {
    let mut set = Set::new();
    set.add("a", Some(10)).unwrap();
    set.events();
    set.machine.advance_ms(10);
    let expected = wire::Event { element: "a".into(), event: Some(What::Removed(Removed { expired: true })) };
    assert_eq!(set.events(), [expected]);
}

#[test]
fn deleting_the_primitive_tells_of_each_element_and_leaves_nothing() {
    let mut set = Set::new();
    set.add("b", Some(10)).unwrap();
    set.add("a", None).unwrap();
    set.events();
    let deleted = set.machine.apply(set.id, Operation::Delete(Delete {}));
    assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
    let elements: Vec<_> = set.events().into_iter().map(|event| event.element).collect();
    assert_eq!(elements, ["a", "b"]);
    assert!(set.machine.is_empty());
}

const ELEMENTS: [&str; 4] = ["a", "ab", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Add(&'static str, Option<u64>),
    Remove(&'static str),
    Clear,
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let element = || prop::sample::select(&ELEMENTS[..]);
    prop_oneof![
        4 => (element(), prop::option::of(1u64..60)).prop_map(|(element, ttl_ms)| Step::Add(element, ttl_ms)),
        2 => element().prop_map(Step::Remove),
        1 => Just(Step::Clear),
        2 => (1u64..40).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn it_behaves_like_a_sorted_set(steps in prop::collection::vec(steps(), 1..60)) {
        let mut set = Set::new();
        let mut model: BTreeMap<&str, Option<u64>> = BTreeMap::new();
        let mut watcher: BTreeSet<String> = BTreeSet::new();
        for step in steps {
            let now = set.machine.now.get();
            match step {
                Step::Add(element, ttl_ms) => {
                    let added = !model.contains_key(element);
                    model.entry(element).or_insert_with(|| ttl_ms.map(|ttl_ms| now + ttl_ms));
                    prop_assert_eq!(set.add(element, ttl_ms), Ok(added));
                }
                Step::Remove(element) => {
                    prop_assert_eq!(set.remove(element), Ok(model.remove(element).is_some()));
                }
                Step::Clear => {
                    prop_assert_eq!(set.clear(), model.len() as u64);
                    model.clear();
                }
                Step::Advance(duration_ms) => {
                    let before = model.len();
                    model.retain(|_, deadline| deadline.is_none_or(|deadline| deadline > now + duration_ms));
                    prop_assert_eq!(set.machine.advance_ms(duration_ms), (before - model.len()) as u64);
                }
            }
            for event in set.events() {
                match event.event.unwrap() {
                    What::Added(_) => prop_assert!(watcher.insert(event.element)),
                    What::Removed(_) => prop_assert!(watcher.remove(&event.element)),
                }
            }
            let expected: Vec<_> = model.keys().map(|element| (*element).to_owned()).collect();
            prop_assert_eq!(&set.list(""), &expected);
            prop_assert!(watcher.iter().eq(&expected), "what watchers know");
            prop_assert_eq!(set.len(), expected.len() as u64);
            let prefixed: Vec<_> = expected.iter().filter(|element| element.starts_with('a')).cloned().collect();
            prop_assert_eq!(set.list("a"), prefixed);
            for element in ELEMENTS {
                prop_assert_eq!(set.contains(element), Ok(model.contains_key(element)));
            }
        }
    }
}
