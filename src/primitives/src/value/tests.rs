//! The value as a whole, and the handle through which the tests of its commands speak to it.

use bytes::Bytes;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Delete, DeleteResponse as PrimitiveDeleted, event};
use synod_proto::value::v1 as wire;
use synod_proto::value::v1::event::{Created, Deleted, Event as What, Updated};
use synod_types::{ErrorCode, PrimitiveId, PrimitiveKind};

use crate::testing::Machine;

pub(super) fn versioned(value: &'static [u8], version: u64) -> wire::Versioned {
    wire::Versioned { value: Bytes::from_static(value), version }
}

/// One value on a machine of its own.
pub(super) struct Value {
    pub(super) machine: Machine,
    id: PrimitiveId,
}

impl Value {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Value, "v");
        Self { machine, id }
    }

    pub(super) fn set(
        &mut self,
        value: &'static [u8],
        ttl_ms: Option<u64>,
    ) -> Result<wire::SetResponse, ErrorCode> {
        let request = wire::SetRequest { value: value.into(), ttl_ms, ..Default::default() };
        self.machine.apply(self.id, Operation::ValueSet(request))
    }

    pub(super) fn insert(&mut self, value: &'static [u8]) -> Result<wire::InsertResponse, ErrorCode> {
        let request = wire::InsertRequest { value: value.into(), ..Default::default() };
        self.machine.apply(self.id, Operation::ValueInsert(request))
    }

    pub(super) fn update(
        &mut self,
        value: &'static [u8],
        expected_version: u64,
    ) -> Result<wire::UpdateResponse, ErrorCode> {
        let request = wire::UpdateRequest { value: value.into(), expected_version, ..Default::default() };
        self.machine.apply(self.id, Operation::ValueUpdate(request))
    }

    pub(super) fn delete(&mut self, expected_version: u64) -> Result<wire::DeleteResponse, ErrorCode> {
        let request = wire::DeleteRequest { expected_version, ..Default::default() };
        self.machine.apply(self.id, Operation::ValueDelete(request))
    }

    pub(super) fn get(&mut self) -> Result<(Vec<u8>, u64), ErrorCode> {
        let found: wire::GetResponse =
            self.machine.query(self.id, QueryOperation::ValueGet(wire::GetRequest::default()))?;
        Ok((found.value.to_vec(), found.version))
    }

    fn events(&mut self) -> Vec<What> {
        let events = self.machine.take_events().into_iter();
        events
            .map(|event| match event {
                event::Event::Value(event) => event.event.unwrap(),
                other => panic!("a value emits value events, not {other:?}"),
            })
            .collect()
    }
}

#[test]
fn watchers_see_every_change_with_what_was_there_before() {
    let mut value = Value::new();
    let first = value.set(b"a", None).unwrap().version;
    let second = value.update(b"b", 0).unwrap().version;
    value.delete(0).unwrap();
    let expected = [
        What::Created(Created { value: Some(versioned(b"a", first)) }),
        What::Updated(Updated {
            value: Some(versioned(b"b", second)),
            previous: Some(versioned(b"a", first)),
        }),
        What::Deleted(Deleted { value: Some(versioned(b"b", second)), expired: false }),
    ];
    assert_eq!(value.events(), expected);
}

#[test]
fn a_ttl_ends_the_value_not_a_millisecond_early() {
    let mut value = Value::new();
    let version = value.set(b"a", Some(1_000)).unwrap().version;
    value.events();
    assert_eq!(value.machine.advance_ms(999), 0);
    assert_eq!(value.get(), Ok((b"a".to_vec(), version)));
    assert_eq!(value.machine.advance_ms(1), 1);
    assert_eq!(value.get(), Err(ErrorCode::NotFound));
    let expected = What::Deleted(Deleted { value: Some(versioned(b"a", version)), expired: true });
    assert_eq!(value.events(), [expected]);
}

#[test]
fn every_write_replaces_the_ttl_and_none_clears_it() {
    let mut value = Value::new();
    value.set(b"a", Some(1_000)).unwrap();
    value.machine.advance_ms(900);
    value.set(b"b", Some(1_000)).unwrap();
    assert_eq!(value.machine.advance_ms(900), 0, "the first TTL is gone");
    value.update(b"c", 0).unwrap();
    assert_eq!(value.machine.advance_ms(1_000_000), 0, "the second TTL is gone");
    assert_eq!(value.get().unwrap().0, b"c");
}

#[test]
fn bug_delete_cancels_the_ttl() {
    let mut value = Value::new();
    value.set(b"a", Some(1_000)).unwrap();
    value.delete(0).unwrap();
    value.set(b"b", None).unwrap();
    assert_eq!(value.machine.advance_ms(5_000), 0);
    assert_eq!(value.get().unwrap().0, b"b");
}

#[test]
fn values_and_ttls_out_of_bounds_are_refused() {
    let mut value = Value::new();
    value.machine.limits.value_bytes = 3;
    value.set(b"abc", Some(1)).unwrap();
    assert_eq!(value.set(b"abcd", None), Err(ErrorCode::Invalid));
    assert_eq!(value.machine.last_error(), "the value has 4 bytes: use at most 3");
    assert_eq!(value.update(b"abcd", 0), Err(ErrorCode::Invalid));
    assert_eq!(value.insert(b"abcd"), Err(ErrorCode::Invalid));
    assert_eq!(value.set(b"a", Some(0)), Err(ErrorCode::Invalid));
    assert_eq!(value.set(b"a", Some(u64::MAX)), Err(ErrorCode::Invalid));
}

#[test]
fn deleting_the_primitive_tells_watchers_and_leaves_nothing() {
    let mut value = Value::new();
    let version = value.set(b"a", Some(1_000)).unwrap().version;
    value.events();
    let deleted = value.machine.apply(value.id, Operation::Delete(Delete {}));
    assert_eq!(deleted, Ok(PrimitiveDeleted { deleted: true }));
    let expected = What::Deleted(Deleted { value: Some(versioned(b"a", version)), expired: false });
    assert_eq!(value.events(), [expected]);
    assert!(value.machine.is_empty());
}
