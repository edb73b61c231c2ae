//! The checkers themselves: each refuses what it is there to refuse, and nothing else. That they see bugs in the product is
//! shown by `make mutants`.

use synod_testkit::linearizability::models::counter::{Action, CounterModel, Input, Number};
use synod_testkit::linearizability::{Budget, Operation, check};
use synod_testkit::oracle::fenced_register::{self, Access};
use synod_testkit::oracle::lock::{self, Holding};
use synod_types::{Monotonic, PrimitiveId};

const fn at(moment: u64) -> Monotonic {
    Monotonic::from_nanos(moment)
}

/// Increments of one counter, one after another, and what was read at the end.
fn is_accepted(answers: &[i64], read: i64) -> bool {
    let input = |action| Input { counter: PrimitiveId(1), action };
    let told = |value| Ok(Number { value, previous: None });
    let times = (0..).map(|step| (at(20 * step), at(20 * step + 10)));
    let steps = answers.iter().map(|value| (Action::Increment(1), *value)).chain([(Action::Get, read)]);
    let history: Vec<_> = steps
        .zip(times)
        .map(|((action, value), (from, to))| Operation::answered(0, input(action), from, to, told(value)))
        .collect();
    check(&CounterModel, &history, Budget::default()).unwrap().is_linearizable()
}

fn held(holder: u64, fence: u64, from: u64, until: u64) -> Holding {
    let (requested_at, from, until) = (at(0), at(from), at(until));
    Holding { holder, fence, reading: false, requested_at, from, until }
}

#[test]
fn f20_every_checker_refuses_what_it_is_there_to_refuse() {
    assert!(is_accepted(&[1, 2, 3], 3));
    assert!(!is_accepted(&[1, 2, 3], 2), "a write that was acknowledged is lost");
    assert!(!is_accepted(&[1, 2, 3], 4), "a write is executed twice");
    assert!(!is_accepted(&[1, 1, 2], 2), "two writes of which one is lost");

    assert_eq!(lock::violations(&[held(1, 1, 10, 20), held(2, 2, 30, 40)]), []);
    assert_ne!(lock::violations(&[held(1, 1, 10, 35), held(2, 2, 30, 40)]), [], "two hold it at once");
    assert_ne!(lock::violations(&[held(1, 2, 10, 20), held(2, 1, 30, 40)]), [], "a fence goes back");

    let access = |holder, fence, accepted| Access { holder, fence, accepted };
    assert_eq!(fenced_register::violations(&[access(1, 1, true), access(2, 2, true)]), []);
    let late = [access(2, 2, true), access(1, 1, true)];
    assert_ne!(fenced_register::violations(&late), [], "an old holder writes");
}
