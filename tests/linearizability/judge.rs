//! How the tests write histories down and have them judged.

use std::time::Duration;

use synod_testkit::linearizability::{Budget, Model, Operation, Report, check};
use synod_types::Monotonic;

use crate::brute_force;

/// An operation of the history of a model.
pub(crate) type Op<M> = Operation<<M as Model>::Input, <M as Model>::Output>;

/// The longest history that is also given to the brute force.
const TINY: usize = 8;

pub(crate) fn at(nanos: u64) -> Monotonic {
    Monotonic::from_nanos(nanos)
}

/// An operation that was answered, from the first to the second moment.
pub(crate) fn answered<I, O>(client: u64, from: u64, to: u64, input: I, output: O) -> Operation<I, O> {
    Operation::answered(client, input, at(from), at(to), output)
}

/// An operation that was never answered.
pub(crate) fn open<I, O>(client: u64, from: u64, input: I) -> Operation<I, O> {
    Operation::open(client, input, at(from))
}

/// A moment in milliseconds, for histories in which things end by themselves.
pub(crate) const fn ms(millis: u64) -> u64 {
    millis * 1_000_000
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Judges a history, and has the brute force agree if it is tiny.
pub(crate) fn judge<M: Model>(model: &M, history: &[Op<M>]) -> Report {
    let report = check(model, history, Budget::default()).unwrap();
    assert_eq!(report.unknown, [], "{report}");
    if history.len() <= TINY {
        assert_eq!(brute_force::is_linearizable(model, history), report.is_linearizable(), "{report}");
    }
    report
}

/// The history is good.
#[track_caller]
pub(crate) fn accept<M: Model>(model: &M, history: &[Op<M>]) {
    let report = judge(model, history);
    assert!(report.is_linearizable(), "{report}");
}

/// The history is bad, and this operation is the first that cannot be explained.
#[track_caller]
pub(crate) fn refuse<M: Model>(model: &M, history: &[Op<M>], culprit: usize) {
    let report = judge(model, history);
    let culprits: Vec<_> = report.violations.iter().map(|violation| violation.culprit).collect();
    assert_eq!(culprits, [culprit], "{report}");
}
