//! Registers: the examples that every checker is shown.

use synod_testkit::linearizability::models::register::{Action, Input, Output, RegisterModel};
use synod_testkit::linearizability::{Budget, Operation, check};

use crate::judge::{accept, answered, at, judge, open, refuse};

type Op = Operation<Input, Output>;

fn input(action: Action) -> Input {
    Input { register: 0, action }
}

fn read(client: u64, from: u64, to: u64, value: u64) -> Op {
    answered(client, from, to, input(Action::Read), Output::Read(value))
}

fn write(client: u64, from: u64, to: u64, value: u64) -> Op {
    answered(client, from, to, input(Action::Write(value)), Output::Written)
}

fn compare_and_set(client: u64, from: u64, to: u64, values: (u64, u64), done: bool) -> Op {
    answered(client, from, to, input(Action::CompareAndSet(values.0, values.1)), Output::Compared(done))
}

fn lost_write(client: u64, from: u64, value: u64) -> Op {
    open(client, from, input(Action::Write(value)))
}

#[test]
fn nothing_is_linearizable() {
    accept(&RegisterModel, &[]);
}

/// The shape of the example in porcupine's documentation: while a write is on its way, one reader sees it and another,
/// who may have been earlier, does not.
#[test]
fn readers_may_see_a_write_on_its_way_or_not() {
    accept(&RegisterModel, &[write(0, 0, 100, 1), read(1, 25, 75, 1), read(2, 30, 60, 0)]);
}

/// The second half of that example: the reader who does not see it comes after the one who did.
#[test]
fn no_reader_goes_back_behind_another() {
    refuse(&RegisterModel, &[write(0, 0, 100, 2), read(1, 10, 30, 2), read(2, 40, 90, 0)], 2);
}

#[test]
fn a_stale_read_is_refused() {
    refuse(&RegisterModel, &[write(0, 0, 10, 1), read(1, 20, 30, 0)], 1);
}

#[test]
fn a_value_that_nobody_wrote_is_refused() {
    refuse(&RegisterModel, &[write(0, 0, 10, 1), read(1, 20, 30, 7)], 1);
}

#[test]
fn a_value_cannot_be_read_before_it_is_written() {
    refuse(&RegisterModel, &[read(1, 0, 5, 1), write(0, 6, 10, 1)], 0);
}

/// Knossos' first exercise: of two compare-and-sets from the same value one must fail.
#[test]
fn two_winners_of_one_compare_and_set_are_refused() {
    let race = |second| {
        [
            write(0, 0, 5, 4),
            compare_and_set(1, 10, 20, (4, 1), true),
            compare_and_set(2, 11, 19, (4, 2), second),
        ]
    };
    accept(&RegisterModel, &race(false));
    refuse(&RegisterModel, &race(true), 1);
}

#[test]
fn a_lost_update_is_refused() {
    let history = [
        compare_and_set(0, 0, 10, (0, 1), true),
        compare_and_set(1, 20, 30, (1, 2), true),
        read(2, 40, 50, 1),
    ];
    refuse(&RegisterModel, &history, 2);
}

/// Knossos: a process crashes, and its write may appear at any later time, once.
#[test]
fn a_write_without_an_answer_may_happen_at_any_time_or_never_but_once() {
    let after = |values: [u64; 4]| {
        let reads =
            values.into_iter().zip(1..).map(|(value, number)| read(1, number * 10, number * 10 + 5, value));
        [lost_write(0, 0, 7)].into_iter().chain(reads).collect::<Vec<_>>()
    };
    for possible in [[0, 0, 0, 0], [7, 7, 7, 7], [0, 0, 0, 7], [0, 7, 7, 7]] {
        accept(&RegisterModel, &after(possible));
    }
    refuse(&RegisterModel, &after([0, 7, 0, 0]), 3);
    refuse(&RegisterModel, &after([0, 7, 7, 0]), 4);
}

#[test]
fn a_write_without_an_answer_cannot_happen_before_it_was_sent() {
    refuse(&RegisterModel, &[read(1, 0, 5, 7), lost_write(0, 6, 7)], 0);
}

#[test]
fn a_read_without_an_answer_says_nothing() {
    accept(&RegisterModel, &[open(0, 0, input(Action::Read)), read(1, 10, 20, 0)]);
}

/// Each of the two reads alone is fine; together they see the writes in opposite orders.
#[test]
fn all_readers_see_one_order_of_writes() {
    let history = [write(0, 0, 10, 1), write(1, 0, 10, 2), read(2, 20, 30, 1), read(3, 40, 50, 2)];
    accept(&RegisterModel, &history[..3]);
    refuse(&RegisterModel, &history, 3);
}

/// The present value is written again, and that write has to wait: it is what a later read sees.
#[test]
fn a_blind_write_is_no_observation() {
    accept(&RegisterModel, &[write(0, 0, 50, 0), write(1, 5, 10, 1), read(2, 20, 25, 1), read(3, 60, 70, 0)]);
}

#[test]
fn at_equal_moments_operations_are_concurrent() {
    accept(&RegisterModel, &[write(0, 0, 10, 1), read(1, 10, 20, 0)]);
    refuse(&RegisterModel, &[write(0, 0, 10, 1), read(1, 11, 20, 0)], 1);
    accept(&RegisterModel, &[write(0, 5, 5, 1), read(1, 5, 5, 0), read(2, 5, 5, 1)]);
}

#[test]
fn registers_are_judged_apart() {
    let on = |register, operation: Op| Op { input: Input { register, ..operation.input }, ..operation };
    let history = [
        on(1, write(0, 0, 10, 1)),
        on(2, write(0, 0, 10, 2)),
        on(2, read(1, 20, 30, 2)),
        on(1, read(1, 20, 30, 0)),
        on(3, read(1, 0, 1, 0)),
    ];
    let report = judge(&RegisterModel, &history[..3]);
    assert_eq!((report.partitions, report.linearizable), (2, 2));
    let report = judge_without_reference(&history);
    assert_eq!((report.partitions, report.linearizable), (3, 2));
    assert_eq!(report.violations[0].keys, "[1]");
    assert_eq!(report.violations[0].operations, 2);
}

/// The reference knows one register only.
fn judge_without_reference(history: &[Op]) -> synod_testkit::linearizability::Report {
    check(&RegisterModel, history, Budget::default()).unwrap()
}

#[test]
fn the_explanation_shows_how_far_an_order_goes_and_what_does_not_follow() {
    let history = [
        write(0, 0, 10, 1),
        write(1, 0, 60, 2),
        read(2, 20, 30, 1),
        read(3, 40, 50, 9),
        lost_write(4, 45, 8),
        write(5, 70, 80, 3),
    ];
    let report = judge(&RegisterModel, &history);
    let violation = &report.violations[0];
    assert_eq!((violation.culprit, violation.operations), (3, 6));
    assert_eq!(violation.placed, [0, 2, 1, 4]);
    assert_eq!(violation.unplaced, [3]);
    let text = report.to_string();
    for expected in [
        "6 operations in 1 partitions: 0 linearizable, 1 not, 0 unknown",
        "not linearizable: 6 operations on [0]",
        "CULPRIT #3 client 3",
        "Read(9)",
        "state 8",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_history_that_goes_back_in_time_is_malformed() {
    let error =
        check(&RegisterModel, &[write(0, 0, 1, 1), write(0, 9, 5, 1)], Budget::default()).unwrap_err();
    assert_eq!((error.index, error.invoked_at, error.returned_at), (1, at(9), at(5)));
    assert_eq!(
        error.to_string(),
        "operation 1 of the history returned at 5ns, before it was invoked at 9ns: record both with one clock"
    );
}
