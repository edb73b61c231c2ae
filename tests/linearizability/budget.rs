//! What is too hard is unknown, never good and never bad.

use std::time::Duration;

use synod_testkit::linearizability::models::register::{Action, Input, Output, RegisterModel};
use synod_testkit::linearizability::{Budget, Operation, Verdict, check};

use crate::judge::{answered, open};

type Op = Operation<Input, Output>;

/// Many different writes without an answer, and reads that see none of them in an order that has to be ruled out.
fn hard(register: u64) -> Vec<Op> {
    let input = |action| Input { register, action };
    let writes = (1..=24).map(|value| open(value, 0, input(Action::Write(value))));
    let reads = (1..=24)
        .map(|value| answered(0, value * 10, value * 10 + 5, input(Action::Read), Output::Read(value)));
    let last = answered(0, 1_000, 1_001, input(Action::Read), Output::Read(99));
    writes.chain(reads).chain([last]).collect()
}

fn easy(register: u64) -> Vec<Op> {
    vec![answered(0, 0, 1, Input { register, action: Action::Read }, Output::Read(0))]
}

fn bad(register: u64) -> Vec<Op> {
    vec![answered(0, 0, 1, Input { register, action: Action::Read }, Output::Read(7))]
}

#[test]
fn a_budget_that_is_too_small_gives_unknown_and_is_counted() {
    let small = [
        Budget { steps: 10, ..Budget::default() },
        Budget { configurations: 3, ..Budget::default() },
        Budget { duration: Some(Duration::ZERO), ..Budget::default() },
    ];
    for budget in &small[..2] {
        let history = [harder(), easy(2)].concat();
        let report = check(&RegisterModel, &history, *budget).unwrap();
        assert!(
            matches!(report.verdict(), Verdict::Unknown([undecided]) if undecided.keys == "[1]"),
            "{report}"
        );
        assert_eq!((report.partitions, report.linearizable, report.unknown.len()), (2, 1, 1));
        assert!(report.to_string().contains("unknown: 33 operations on [1]"), "{report}");
        assert!(!report.is_linearizable());
    }
    // The clock is looked at only now and then, so the easy one may be decided; the hard one cannot be.
    let late = check(&RegisterModel, &harder(), small[2]).unwrap();
    assert!(matches!(late.verdict(), Verdict::Unknown(_)), "{late}");
}

/// Not to be decided before the clock is looked at: a value that was written twice is read three times, and in between
/// any of many others may have been written.
fn harder() -> Vec<Op> {
    let input = |action| Input { register: 1, action };
    let others = (1..=24).map(|value| open(value, 0, input(Action::Write(100 + value))));
    let writes = [1, 2, 1, 2].map(|value| open(value, 0, input(Action::Write(value))));
    let reads = (1..).zip([1, 2, 1, 2, 1]).map(|(place, value)| {
        answered(0, place * 10, place * 10 + 5, input(Action::Read), Output::Read(value))
    });
    others.chain(writes).chain(reads).collect()
}

#[test]
fn one_partition_that_is_bad_settles_it_whatever_is_unknown() {
    let budget = Budget { steps: 10, ..Budget::default() };
    let report = check(&RegisterModel, &[harder(), bad(2)].concat(), budget).unwrap();
    assert_eq!(report.unknown.len(), 1);
    assert!(matches!(report.verdict(), Verdict::NotLinearizable([violation]) if violation.keys == "[2]"));
}

#[test]
fn with_budget_enough_the_hard_one_is_decided() {
    let report = check(&RegisterModel, &hard(1), Budget::default()).unwrap();
    assert!(
        matches!(report.verdict(), Verdict::NotLinearizable([violation]) if violation.culprit == 48),
        "{report}"
    );
}
