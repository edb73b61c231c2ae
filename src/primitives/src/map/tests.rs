//! The map as a whole, and the handle through which its tests speak to it.

use bytes::Bytes;
use synod_proto::map::v1 as wire;
use synod_proto::map::v1::transact_request::operation::Operation as Part;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Delete, DeleteResponse, event};
use synod_types::{ErrorCode, PartitionId, PrimitiveId, PrimitiveKind, SlotTable};

use crate::testing::Machine;

pub(super) fn versioned(value: &'static [u8], version: u64) -> wire::Versioned {
    wire::Versioned { value: Bytes::from_static(value), version }
}

/// One map on a machine of its own.
pub(super) struct Map {
    pub(super) machine: Machine,
    pub(super) id: PrimitiveId,
}

impl Map {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Map, "m");
        Self { machine, id }
    }

    /// Makes this partition the first of two, and returns a key of each.
    pub(super) fn spread_over_two_partitions(&mut self) -> (String, String) {
        let slots = SlotTable::new(2).unwrap();
        let key_on = |partition| {
            let mut keys = (0..).map(|number| format!("k{number}"));
            keys.find(|key| slots.partition_of(key.as_bytes()) == PartitionId(partition)).unwrap()
        };
        let keys = (key_on(0), key_on(1));
        self.machine.placement.slots = slots;
        keys
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: &'static [u8],
        ttl_ms: Option<u64>,
    ) -> Result<wire::PutResponse, ErrorCode> {
        let request = wire::PutRequest { key: key.into(), value: value.into(), ttl_ms, ..Default::default() };
        self.machine.apply(self.id, Operation::MapPut(request))
    }

    pub(super) fn put_if(
        &mut self,
        key: &str,
        value: &'static [u8],
        expected_version: u64,
    ) -> Result<wire::PutResponse, ErrorCode> {
        let request =
            wire::PutRequest { key: key.into(), value: value.into(), expected_version, ..Default::default() };
        self.machine.apply(self.id, Operation::MapPut(request))
    }

    pub(super) fn insert(
        &mut self,
        key: &str,
        value: &'static [u8],
    ) -> Result<wire::InsertResponse, ErrorCode> {
        let request = wire::InsertRequest { key: key.into(), value: value.into(), ..Default::default() };
        self.machine.apply(self.id, Operation::MapInsert(request))
    }

    pub(super) fn update(
        &mut self,
        key: &str,
        value: &'static [u8],
        expected_version: u64,
    ) -> Result<wire::UpdateResponse, ErrorCode> {
        let request = wire::UpdateRequest {
            key: key.into(),
            value: value.into(),
            expected_version,
            ..Default::default()
        };
        self.machine.apply(self.id, Operation::MapUpdate(request))
    }

    pub(super) fn remove(
        &mut self,
        key: &str,
        expected_version: u64,
    ) -> Result<wire::RemoveResponse, ErrorCode> {
        let request = wire::RemoveRequest { key: key.into(), expected_version, ..Default::default() };
        self.machine.apply(self.id, Operation::MapRemove(request))
    }

    pub(super) fn clear(&mut self) -> u64 {
        let request = Operation::MapClear(wire::ClearRequest::default());
        let response: wire::ClearResponse = self.machine.apply(self.id, request).unwrap();
        response.removed
    }

    pub(super) fn transact(
        &mut self,
        parts: impl IntoIterator<Item = Part>,
    ) -> Result<wire::TransactResponse, ErrorCode> {
        let operations =
            parts.into_iter().map(|part| wire::transact_request::Operation { operation: Some(part) });
        self.transact_raw(operations.collect())
    }

    pub(super) fn transact_raw(
        &mut self,
        operations: Vec<wire::transact_request::Operation>,
    ) -> Result<wire::TransactResponse, ErrorCode> {
        let request = wire::TransactRequest { operations, ..Default::default() };
        self.machine.apply(self.id, Operation::MapTransact(request))
    }

    pub(super) fn get(&mut self, key: &str) -> Result<(Vec<u8>, u64), ErrorCode> {
        let request = wire::GetRequest { key: key.into(), ..Default::default() };
        let found: wire::GetResponse = self.machine.query(self.id, QueryOperation::MapGet(request))?;
        Ok((found.value.to_vec(), found.version))
    }

    pub(super) fn len(&mut self) -> u64 {
        let request = QueryOperation::MapLen(wire::LenRequest::default());
        let response: wire::LenResponse = self.machine.query(self.id, request).unwrap();
        response.entries
    }

    pub(super) fn events(&mut self) -> Vec<wire::Event> {
        let events = self.machine.take_events().into_iter();
        events
            .map(|event| match event {
                event::Event::Map(event) => event,
                other => panic!("a map emits map events, not {other:?}"),
            })
            .collect()
    }
}

#[test]
fn a_key_of_another_partition_is_refused_by_commands_and_queries() {
    let mut map = Map::new();
    let (here, elsewhere) = map.spread_over_two_partitions();
    map.put(&here, b"1", None).unwrap();
    assert_eq!(map.put(&elsewhere, b"1", None).err(), Some(ErrorCode::WrongPartition));
    assert_eq!(map.machine.last_error(), "this key lives on partition 1, not on 0");
    assert_eq!(map.get(&elsewhere), Err(ErrorCode::WrongPartition));
    assert_eq!(map.remove(&elsewhere, 0), Err(ErrorCode::WrongPartition));
}

#[test]
fn keys_values_and_ttls_out_of_bounds_are_refused() {
    let mut map = Map::new();
    map.machine.limits.key_bytes = 3;
    map.machine.limits.value_bytes = 3;
    map.put("abc", b"abc", Some(1)).unwrap();
    for (key, value, ttl_ms) in [
        ("", &b""[..], None),
        ("abcd", b"", None),
        ("a", b"abcd", None),
        ("a", b"", Some(0)),
        ("a", b"", Some(315_360_000_001)),
    ] {
        assert_eq!(map.put(key, value, ttl_ms), Err(ErrorCode::Invalid), "{key:?}");
    }
    assert_eq!(map.insert("abcd", b""), Err(ErrorCode::Invalid));
    assert_eq!(map.update("abc", b"abcd", 0), Err(ErrorCode::Invalid));
    assert_eq!(map.get(""), Err(ErrorCode::Invalid));
}

#[test]
fn versions_are_not_reused_after_removal_and_clear() {
    let mut map = Map::new();
    let mut last = 0;
    for round in 0..6 {
        let version = map.put("k", b"a", None).unwrap().version;
        assert!(version > last);
        last = version;
        if round % 2 == 0 {
            map.remove("k", 0).unwrap();
        } else {
            map.clear();
        }
    }
}

#[test]
fn a_leader_change_gives_no_grace_to_a_ttl() {
    let mut map = Map::new();
    map.put("k", b"a", Some(1_000)).unwrap();
    map.machine.change_leader_after_ms(900);
    assert_eq!(map.machine.advance_ms(100), 1);
    assert_eq!(map.get("k"), Err(ErrorCode::NotFound));
}

#[test]
fn deleting_the_primitive_tells_of_each_entry_and_leaves_nothing() {
    let mut map = Map::new();
    map.put("b", b"1", Some(1_000)).unwrap();
    map.put("a", b"1", None).unwrap();
    map.events();
    let deleted = map.machine.apply(map.id, Operation::Delete(Delete {}));
    assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
    let keys: Vec<_> = map.events().into_iter().map(|event| event.key).collect();
    assert_eq!(keys, ["a", "b"]);
    assert!(map.machine.is_empty());
}
