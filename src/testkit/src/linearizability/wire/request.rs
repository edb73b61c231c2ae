//! Requests as inputs of the models.

use std::time::Duration;

use synod_proto::lock::v1::{AcquireRequest, Mode};
use synod_proto::map::v1 as map_wire;
use synod_proto::map::v1::transact_request::operation::Operation as Part;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::scan::Operation as ScanOperation;
use synod_proto::primitive::v1::{Command, Query, Scan};
use synod_types::{PartitionId, PrimitiveId, SessionId};

use crate::linearizability::models::primitives::Input;
use crate::linearizability::models::{EntryAction, Shard, counter, election, lock, map, set, value};

/// The input that a command is, sent by a session to a partition; none if the models do not know it.
pub fn command(session: SessionId, partition: PartitionId, command: &Command) -> Option<Input> {
    let primitive = PrimitiveId(command.primitive);
    let shard = Shard { primitive, partition };
    let session = session.get();
    let counter = |action| Some(Input::Counter(counter::Input { counter: primitive, action }));
    let value = |action| Some(Input::Value(value::Input { value: primitive, action }));
    let one = |key: &str, action| {
        Some(Input::Map(map::Input { shard, action: map::Action::One(key.to_owned(), action) }))
    };
    let map = |action| Some(Input::Map(map::Input { shard, action }));
    let set = |action| Some(Input::Set(set::Input { shard, action }));
    let lock = |action| Some(Input::Lock(lock::Input { lock: primitive, action }));
    let election = |action| Some(Input::Election(election::Input { election: primitive, action }));
    match command.operation.as_ref()? {
        Operation::Create(_) | Operation::Delete(_) => None,
        Operation::CounterSet(request) => counter(counter::Action::Set(request.value)),
        Operation::CounterUpdate(request) => {
            counter(counter::Action::Update { expected: request.expected, value: request.value })
        }
        Operation::CounterIncrement(request) => counter(counter::Action::Increment(request.delta)),
        Operation::CounterDecrement(request) => counter(counter::Action::Decrement(request.delta)),
        Operation::ValueSet(request) => {
            value(EntryAction::Set { value: request.value.clone(), ttl: millis(request.ttl_ms) })
        }
        Operation::ValueInsert(request) => {
            value(EntryAction::Insert { value: request.value.clone(), ttl: millis(request.ttl_ms) })
        }
        Operation::ValueUpdate(request) => value(EntryAction::Update {
            value: request.value.clone(),
            ttl: millis(request.ttl_ms),
            expected: request.expected_version,
        }),
        Operation::ValueDelete(request) => value(EntryAction::Remove { expected: request.expected_version }),
        Operation::MapPut(request) => one(&request.key, put(request)),
        Operation::MapInsert(request) => one(&request.key, insert(request)),
        Operation::MapUpdate(request) => one(&request.key, update(request)),
        Operation::MapRemove(request) => one(&request.key, remove(request)),
        Operation::MapClear(_) => map(map::Action::Clear),
        Operation::MapTransact(request) => map(map::Action::Transact(parts(request)?)),
        Operation::SetAdd(request) => {
            set(set::Action::Add { element: request.element.clone(), ttl: millis(request.ttl_ms) })
        }
        Operation::SetRemove(request) => set(set::Action::Remove(request.element.clone())),
        Operation::SetClear(_) => set(set::Action::Clear),
        Operation::LockAcquire(request) => lock(lock::Action::Acquire(acquire(request, session))),
        Operation::LockRenew(request) => lock(lock::Action::Renew {
            request: request.request_id.clone(),
            fence: request.fence,
            lease: millis(request.lease_ms),
        }),
        Operation::LockRelease(request) => {
            lock(lock::Action::Release { request: request.request_id.clone(), session, fence: request.fence })
        }
        Operation::LockForceRelease(request) => lock(lock::Action::ForceRelease(request.fence)),
        Operation::ElectionEnter(request) => {
            election(election::Action::Enter { candidate: request.candidate.clone(), session })
        }
        Operation::ElectionWithdraw(request) => {
            election(election::Action::Withdraw { candidate: request.candidate.clone(), session })
        }
        Operation::ElectionAnoint(request) => election(election::Action::Anoint(request.candidate.clone())),
        Operation::ElectionPromote(request) => election(election::Action::Promote(request.candidate.clone())),
        Operation::ElectionDemote(request) => election(election::Action::Demote(request.candidate.clone())),
        Operation::ElectionEvict(request) => election(election::Action::Evict(request.candidate.clone())),
    }
}

/// The input that a query of a partition is; none if the models do not know it. Only linearizable queries belong into a
/// history.
pub fn query(partition: PartitionId, query: &Query) -> Option<Input> {
    let primitive = PrimitiveId(query.primitive);
    let shard = Shard { primitive, partition };
    Some(match query.operation.as_ref()? {
        QueryOperation::Describe(_) => return None,
        QueryOperation::CounterGet(_) => {
            Input::Counter(counter::Input { counter: primitive, action: counter::Action::Get })
        }
        QueryOperation::ValueGet(_) => {
            Input::Value(value::Input { value: primitive, action: EntryAction::Get })
        }
        QueryOperation::MapGet(request) => {
            let action = map::Action::One(request.key.clone(), EntryAction::Get);
            Input::Map(map::Input { shard, action })
        }
        QueryOperation::MapLen(_) => Input::Map(map::Input { shard, action: map::Action::Len }),
        QueryOperation::SetContains(request) => {
            Input::Set(set::Input { shard, action: set::Action::Contains(request.element.clone()) })
        }
        QueryOperation::SetLen(_) => Input::Set(set::Input { shard, action: set::Action::Len }),
        QueryOperation::LockGet(_) => Input::Lock(lock::Input { lock: primitive, action: lock::Action::Get }),
        QueryOperation::LockCheckFence(request) => {
            Input::Lock(lock::Input { lock: primitive, action: lock::Action::CheckFence(request.fence) })
        }
        QueryOperation::ElectionGet(_) => {
            Input::Election(election::Input { election: primitive, action: election::Action::Get })
        }
    })
}

/// The input that a listing of a partition is. Only linearizable listings belong into a history.
pub fn scan(partition: PartitionId, scan: &Scan) -> Option<Input> {
    let shard = Shard { primitive: PrimitiveId(scan.primitive), partition };
    Some(match scan.operation.as_ref()? {
        ScanOperation::MapList(request) => {
            Input::Map(map::Input { shard, action: map::Action::List(request.prefix.clone()) })
        }
        ScanOperation::SetList(request) => {
            Input::Set(set::Input { shard, action: set::Action::List(request.prefix.clone()) })
        }
    })
}

fn millis(millis: Option<u64>) -> Option<Duration> {
    millis.map(Duration::from_millis)
}

fn put(request: &map_wire::PutRequest) -> EntryAction {
    EntryAction::Put {
        value: request.value.clone(),
        ttl: millis(request.ttl_ms),
        expected: request.expected_version,
    }
}

fn insert(request: &map_wire::InsertRequest) -> EntryAction {
    EntryAction::Insert { value: request.value.clone(), ttl: millis(request.ttl_ms) }
}

fn update(request: &map_wire::UpdateRequest) -> EntryAction {
    EntryAction::Update {
        value: request.value.clone(),
        ttl: millis(request.ttl_ms),
        expected: request.expected_version,
    }
}

const fn remove(request: &map_wire::RemoveRequest) -> EntryAction {
    EntryAction::Remove { expected: request.expected_version }
}

/// The operations of a transaction; none if one of them is not known.
fn parts(request: &map_wire::TransactRequest) -> Option<Vec<(String, EntryAction)>> {
    let parts = request.operations.iter().map(|operation| {
        Some(match operation.operation.as_ref()? {
            Part::Put(request) => (request.key.clone(), put(request)),
            Part::Insert(request) => (request.key.clone(), insert(request)),
            Part::Update(request) => (request.key.clone(), update(request)),
            Part::Remove(request) => (request.key.clone(), remove(request)),
            Part::Check(request) => {
                (request.key.clone(), EntryAction::Check { expected: request.expected_version })
            }
        })
    });
    parts.collect()
}

fn acquire(request: &AcquireRequest, session: u64) -> lock::Acquire {
    lock::Acquire {
        request: request.request_id.clone(),
        session,
        reading: request.mode() == Mode::Read,
        max_wait: millis(request.max_wait_ms),
        lease: millis(request.lease_ms),
        reentrant: request.reentrant,
        delay: Duration::from_millis(request.lock_delay_ms),
    }
}
