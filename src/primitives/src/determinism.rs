//! All kinds together: the same commands give the same answers, changes and state on every replica, also on one that was
//! restored from a snapshot in between; and what is deleted leaves nothing behind.

use bytes::Bytes;
use proptest::prelude::*;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, Create, Delete};
use synod_proto::{counter, election, lock, map, set, value};
use synod_storage::state::{KeyRange, StateHash, StateRead as _, Table};
use synod_types::{Error, PrimitiveId, PrimitiveKind, SessionId};

use crate::testing::Machine;
use crate::{Change, next_deadline};

#[derive(Clone, Debug)]
enum Step {
    Command { session: u64, command: Command },
    Advance(u64),
    ChangeLeader(u64),
    EndSession(u64),
}

/// What one step does, as far as anybody can see.
#[derive(Debug, PartialEq)]
struct Seen {
    result: Option<Result<Bytes, Error>>,
    fired: u64,
    changes: Vec<Change>,
    hash: StateHash,
}

fn perform(machine: &mut Machine, step: &Step) -> Seen {
    let (mut result, mut fired) = (None, 0);
    match step {
        Step::Command { session, command } => {
            machine.session = SessionId(*session);
            result = Some(machine.apply_encoded(command.clone()));
        }
        Step::Advance(duration_ms) => fired = machine.advance_ms(*duration_ms),
        Step::ChangeLeader(duration_ms) => fired = machine.change_leader_after_ms(*duration_ms),
        Step::EndSession(session) => machine.end_session(SessionId(*session)),
    }
    Seen { result, fired, changes: machine.take_changes(), hash: machine.hash() }
}

/// What a random command is made from.
#[derive(Clone, Debug)]
struct Material {
    kind: PrimitiveKind,
    operation: u8,
    text: String,
    bytes: Bytes,
    number: u64,
    duration_ms: Option<u64>,
    flag: bool,
}

fn id(kind: PrimitiveKind) -> PrimitiveId {
    PrimitiveId::of("default", kind, kind.as_str())
}

fn command(material: Material) -> Command {
    let kind = material.kind;
    let create = || {
        Operation::Create(Create {
            application: "default".into(),
            kind: kind.number(),
            name: kind.as_str().into(),
        })
    };
    let operation = match (kind, material.operation) {
        (_, 0 | 1) => create(),
        (_, 2) => Operation::Delete(Delete {}),
        (PrimitiveKind::Counter, _) => counter_operation(material),
        (PrimitiveKind::Value, _) => value_operation(material),
        (PrimitiveKind::Map, _) => map_operation(material),
        (PrimitiveKind::Set, _) => set_operation(material),
        (PrimitiveKind::Lock, _) => lock_operation(material),
        (PrimitiveKind::Election, _) => election_operation(material),
    };
    Command { primitive: id(kind).get(), operation: Some(operation) }
}

fn counter_operation(material: Material) -> Operation {
    use counter::v1::*;
    let (primitive, delta) = (None, material.number as i64 - 8);
    match material.operation % 4 {
        0 => Operation::CounterSet(SetRequest { primitive, value: delta }),
        1 => Operation::CounterUpdate(UpdateRequest { primitive, expected: delta, value: delta + 1 }),
        2 => Operation::CounterIncrement(IncrementRequest { primitive, delta }),
        _ => Operation::CounterDecrement(DecrementRequest { primitive, delta }),
    }
}

fn value_operation(material: Material) -> Operation {
    use value::v1::*;
    let Material { bytes: value, number: expected_version, duration_ms: ttl_ms, .. } = material;
    let primitive = None;
    match material.operation % 4 {
        0 => Operation::ValueSet(SetRequest { primitive, value, ttl_ms }),
        1 => Operation::ValueInsert(InsertRequest { primitive, value, ttl_ms }),
        2 => Operation::ValueUpdate(UpdateRequest { primitive, value, ttl_ms, expected_version }),
        _ => Operation::ValueDelete(DeleteRequest { primitive, expected_version }),
    }
}

fn map_operation(material: Material) -> Operation {
    use map::v1::transact_request::operation::Operation as Part;
    use map::v1::*;
    let Material { text: key, bytes: value, duration_ms: ttl_ms, .. } = material;
    let expected_version = if material.flag { 0 } else { material.number };
    let primitive = None;
    match material.operation % 6 {
        0 => Operation::MapPut(PutRequest { primitive, key, value, ttl_ms, expected_version }),
        1 => Operation::MapInsert(InsertRequest { primitive, key, value, ttl_ms }),
        2 => Operation::MapUpdate(UpdateRequest { primitive, key, value, ttl_ms, expected_version }),
        3 => Operation::MapRemove(RemoveRequest { primitive, key, expected_version }),
        4 => Operation::MapClear(ClearRequest::default()),
        _ => {
            let again = PutRequest { key: key.clone() + "2", value: value.clone(), ..Default::default() };
            let parts = [
                Part::Put(PutRequest { primitive, key, value, ttl_ms, expected_version }),
                Part::Put(again),
                Part::Check(CheckRequest { key: "none".into(), expected_version: 0 }),
            ];
            let operations =
                parts.map(|part| transact_request::Operation { operation: Some(part) }).into_iter().collect();
            Operation::MapTransact(TransactRequest { primitive: None, operations })
        }
    }
}

fn set_operation(material: Material) -> Operation {
    use set::v1::*;
    let (primitive, element, ttl_ms) = (None, material.text, material.duration_ms);
    match material.operation % 3 {
        0 => Operation::SetAdd(AddRequest { primitive, element, ttl_ms }),
        1 => Operation::SetRemove(RemoveRequest { primitive, element }),
        _ => Operation::SetClear(ClearRequest::default()),
    }
}

fn lock_operation(material: Material) -> Operation {
    use lock::v1::*;
    let (primitive, request_id) = (None, material.text);
    let (fence, lease_ms) = (material.number, material.duration_ms.map(|duration_ms| duration_ms + 99));
    match material.operation % 6 {
        0..3 => Operation::LockAcquire(AcquireRequest {
            primitive,
            request_id,
            mode: if material.flag { Mode::Read } else { Mode::Write }.into(),
            max_wait_ms: material.duration_ms,
            lease_ms,
            reentrant: material.number.is_multiple_of(3),
            metadata: String::new(),
            lock_delay_ms: material.number,
        }),
        3 => Operation::LockRenew(RenewRequest { primitive, request_id, fence, lease_ms }),
        4 => Operation::LockRelease(ReleaseRequest {
            primitive,
            request_id,
            fence: if material.number < 30 { 0 } else { fence },
        }),
        _ => Operation::LockForceRelease(ForceReleaseRequest { primitive, fence }),
    }
}

fn election_operation(material: Material) -> Operation {
    use election::v1::*;
    let (primitive, candidate) = (None, material.text);
    match material.operation % 8 {
        0 => Operation::ElectionWithdraw(WithdrawRequest { primitive, candidate }),
        1 => Operation::ElectionAnoint(AnointRequest { primitive, candidate }),
        2 => Operation::ElectionPromote(PromoteRequest { primitive, candidate }),
        3 => Operation::ElectionDemote(DemoteRequest { primitive, candidate }),
        4 => Operation::ElectionEvict(EvictRequest { primitive, candidate }),
        _ => Operation::ElectionEnter(EnterRequest { primitive, candidate }),
    }
}

fn commands() -> impl Strategy<Value = Command> {
    (
        prop::sample::select(PrimitiveKind::ALL.to_vec()),
        prop_oneof![1 => 0u8..3, 19 => 3u8..27],
        prop_oneof![9 => prop::sample::select(vec!["a", "b", "c"]), 1 => Just("")],
        prop::collection::vec(0u8..2, 0..2),
        0u64..40,
        prop::option::of(0u64..200),
        any::<bool>(),
    )
        .prop_map(|(kind, operation, text, bytes, number, duration_ms, flag)| {
            let (text, bytes) = (text.to_owned(), bytes.into());
            command(Material { kind, operation, text, bytes, number, duration_ms, flag })
        })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u64..3, commands()).prop_map(|(session, command)| Step::Command { session, command }),
        2 => prop_oneof![9 => 1u64..100, 1 => Just(600_000)].prop_map(Step::Advance),
        1 => (1u64..100).prop_map(Step::ChangeLeader),
        1 => (1u64..3).prop_map(Step::EndSession),
    ]
}

/// A machine on which every kind of primitive exists.
fn machine() -> Machine {
    let mut machine = Machine::new();
    for kind in PrimitiveKind::ALL {
        machine.create(kind, kind.as_str());
    }
    machine
}

proptest! {
    #[test]
    fn replicas_agree_also_with_one_that_was_restored(
        steps in prop::collection::vec(steps(), 1..120), restored_at: prop::sample::Index,
    ) {
        let (mut one, mut other) = (machine(), machine());
        let restored_at = restored_at.index(steps.len());
        for (at, step) in steps.iter().enumerate() {
            if at == restored_at {
                other = other.restored();
            }
            prop_assert_eq!(perform(&mut one, step), perform(&mut other, step), "{:?}", step);
            let later = next_deadline(&one.store).unwrap();
            let fired = matches!(step, Step::Advance(_) | Step::ChangeLeader(_));
            prop_assert!(!fired || later.is_none_or(|later| later > one.now), "all that was due has fired");
        }
    }

    #[test]
    fn deleting_everything_leaves_only_the_term_of_the_election(
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut machine = machine();
        for step in &steps {
            perform(&mut machine, step);
        }
        for kind in PrimitiveKind::ALL {
            let delete = Command { primitive: id(kind).get(), operation: Some(Operation::Delete(Delete {})) };
            machine.apply_encoded(delete).unwrap();
        }
        for table in Table::ALL {
            let left: Vec<_> = machine.store.scan(table, KeyRange::all()).map(|pair| pair.unwrap().0).collect();
            let election = id(PrimitiveKind::Election).get().to_be_bytes();
            let is_term = |key: &[u8]| table == Table::Data && key == [&election[..], &[0]].concat();
            prop_assert!(left.iter().all(|key| is_term(key)), "{:?}: {:?}", table, left);
        }
    }
}
