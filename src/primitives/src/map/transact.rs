//! `map transact`: all operations or none, on keys of this partition.

use std::collections::BTreeSet;

use synod_proto::map::v1::transact_request::Operation;
use synod_proto::map::v1::transact_request::operation::Operation as What;
use synod_proto::map::v1::transact_response::Result as OperationResult;
use synod_proto::map::v1::{TransactRequest, TransactResponse};
use synod_types::{ErrorCode, PrimitiveKind};

use super::{Plan, check, insert, put, remove, update};
use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome, View};

impl Apply for TransactRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = TransactResponse;

    /// Rejects with `Invalid` more operations than are allowed, with `Conflict` a key that is used twice, and else as
    /// the first operation that would be refused alone.
    fn apply(self, context: &mut Context<'_>) -> Outcome<TransactResponse> {
        let (count, most) = (self.operations.len() as u64, context.limits().transaction_operations);
        if count > most {
            let message = format!("the transaction has {count} operations: use at most {most}");
            return Err(Failure::rejected(ErrorCode::Invalid, message));
        }
        let plans = plan_all(self.operations, &context.view())?;
        let mut results = Vec::with_capacity(plans.len());
        for plan in plans {
            let done = plan.perform(context)?;
            results.push(OperationResult { version: done.version.get(), previous: done.previous });
        }
        Ok(TransactResponse { results })
    }
}

fn plan_all(operations: Vec<Operation>, view: &View<'_>) -> Outcome<Vec<Plan>> {
    let mut keys = BTreeSet::new();
    let mut plans = Vec::with_capacity(operations.len());
    for (position, operation) in (1..).zip(operations) {
        let planned = plan(operation, view).and_then(|plan| {
            if keys.insert(plan.key.clone()) {
                return Ok(plan);
            }
            let message = "an operation before it uses the same key: use each key once";
            Err(Failure::rejected(ErrorCode::Conflict, message))
        });
        plans.push(planned.map_err(|failure| at(position, failure))?);
    }
    Ok(plans)
}

fn plan(operation: Operation, view: &View<'_>) -> Outcome<Plan> {
    match operation.operation {
        Some(What::Put(request)) => put::plan(request, view),
        Some(What::Insert(request)) => insert::plan(request, view),
        Some(What::Update(request)) => update::plan(request, view),
        Some(What::Remove(request)) => remove::plan(request, view),
        Some(What::Check(request)) => check::plan(request, view),
        None => Err(Failure::rejected(
            ErrorCode::Invalid,
            "this version of Synod does not know it: use put, insert, update, remove or check",
        )),
    }
}

/// Says which operation was refused.
fn at(position: u64, failure: Failure) -> Failure {
    match failure {
        Failure::Rejected(error) => Failure::Rejected(error.within(format!("operation {position}"))),
        fault @ Failure::Fault(_) => fault,
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::map::v1::{CheckRequest, InsertRequest, PutRequest, RemoveRequest, UpdateRequest};

    use super::super::tests::{Map, versioned};
    use super::*;

    fn put(key: &str, value: &'static [u8]) -> What {
        What::Put(PutRequest { key: key.into(), value: value.into(), ..Default::default() })
    }

    fn update(key: &str) -> What {
        What::Update(UpdateRequest { key: key.into(), ..Default::default() })
    }

    fn insert(key: &str) -> What {
        What::Insert(InsertRequest { key: key.into(), ..Default::default() })
    }

    fn remove(key: &str) -> What {
        What::Remove(RemoveRequest { key: key.into(), ..Default::default() })
    }

    fn check(key: &str, expected_version: u64) -> What {
        What::Check(CheckRequest { key: key.into(), expected_version })
    }

    #[test]
    fn an_empty_transaction_is_allowed() {
        assert_eq!(Map::new().transact([]).unwrap().results, []);
    }

    #[test]
    fn results_come_in_the_order_of_the_request() {
        let mut map = Map::new();
        let a = map.put("a", b"1", None).unwrap().version;
        let b = map.put("b", b"2", None).unwrap().version;
        let results = map
            .transact([remove("b"), check("a", a), check("none", 0), insert("d"), put("c", b"3")])
            .unwrap()
            .results;
        let index = map.machine.index.get();
        let expected = [
            (0, Some(versioned(b"2", b))),
            (a, Some(versioned(b"1", a))),
            (0, None),
            (index, None),
            (index, None),
        ];
        assert_eq!(results, expected.map(|(version, previous)| OperationResult { version, previous }));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn the_first_failure_decides_and_nothing_is_changed() {
        let mut map = Map::new();
        let version = map.put("a", b"1", None).unwrap().version;
        for (operations, code) in [
            ([put("b", b"2"), update("c")], ErrorCode::NotFound),
            ([insert("a"), update("c")], ErrorCode::AlreadyExists),
            ([put("b", b"2"), check("a", version + 1)], ErrorCode::Conflict),
            ([put("b", b"2"), check("a", 0)], ErrorCode::Conflict),
            ([put("b", b"2"), check("c", 5)], ErrorCode::Conflict),
            ([put("b", b"2"), put("", b"2")], ErrorCode::Invalid),
        ] {
            assert_eq!(map.transact(operations).err(), Some(code));
        }
        assert_eq!(map.machine.last_error(), "operation 2: the key is empty: use 1 to 4096 bytes");
        assert_eq!(map.get("b"), Err(ErrorCode::NotFound));
    }

    #[test]
    fn no_key_may_be_used_twice() {
        let mut map = Map::new();
        assert_eq!(map.transact([put("a", b"1"), check("a", 0)]).err(), Some(ErrorCode::Conflict));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn its_size_is_bounded_and_its_operations_are_known() {
        let mut map = Map::new();
        map.machine.limits.transaction_operations = 2;
        let three = ["a", "b", "c"].map(|key| put(key, b""));
        assert_eq!(map.transact(three).err(), Some(ErrorCode::Invalid));
        assert_eq!(map.machine.last_error(), "the transaction has 3 operations: use at most 2");
        assert_eq!(map.transact_raw(vec![Operation { operation: None }]).err(), Some(ErrorCode::Invalid));
    }

    #[test]
    fn every_key_must_live_here() {
        let mut map = Map::new();
        let (here, elsewhere) = map.spread_over_two_partitions();
        assert_eq!(
            map.transact([put(&here, b"1"), put(&elsewhere, b"2")]).err(),
            Some(ErrorCode::WrongPartition)
        );
        assert_eq!(map.get(&here), Err(ErrorCode::NotFound));
    }
}
