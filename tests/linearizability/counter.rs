//! Counters: exactly once, and every refusal in its place.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::Answer;
use synod_testkit::linearizability::models::counter::{Action, CounterModel, Input, Number};
use synod_types::{ErrorCode, PrimitiveId};

use crate::judge::{accept, answered, open, refuse};

type Op = Operation<Input, Answer<Number>>;

fn input(action: Action) -> Input {
    Input { counter: PrimitiveId(1), action }
}

fn told(value: i64) -> Answer<Number> {
    Ok(Number { value, previous: None })
}

fn done(from: u64, to: u64, action: Action, answer: Answer<Number>) -> Op {
    answered(0, from, to, input(action), answer)
}

fn get(from: u64, to: u64, value: i64) -> Op {
    done(from, to, Action::Get, told(value))
}

#[test]
fn a_retry_that_counts_twice_is_refused() {
    let once = |seen| [done(0, 10, Action::Increment(5), told(5)), get(20, 30, seen)];
    accept(&CounterModel, &once(5));
    refuse(&CounterModel, &once(10), 1);
}

#[test]
fn an_increment_that_is_lost_is_refused() {
    refuse(&CounterModel, &[done(0, 10, Action::Increment(1), told(1)), get(20, 30, 0)], 1);
}

#[test]
fn two_increments_cannot_make_the_same_number() {
    let both = |second| {
        [done(0, 10, Action::Increment(1), told(1)), done(5, 15, Action::Increment(1), told(second))]
    };
    accept(&CounterModel, &both(2));
    refuse(&CounterModel, &both(1), 1);
}

#[test]
fn what_was_never_answered_counts_once_or_not_at_all() {
    let after = |seen| [open(0, 0, input(Action::Increment(3))), get(10, 20, seen), get(30, 40, seen)];
    accept(&CounterModel, &after(0));
    accept(&CounterModel, &after(3));
    refuse(&CounterModel, &after(6), 1);
}

#[test]
fn of_many_that_are_alike_and_were_never_answered_any_number_may_count() {
    let lost = |count: u64| (0..count).map(|client| open(client, client, input(Action::Increment(1))));
    let after = |seen| lost(40).chain([get(100, 110, seen)]).collect::<Vec<_>>();
    accept(&CounterModel, &after(0));
    accept(&CounterModel, &after(40));
    refuse(&CounterModel, &after(41), 40);
    // The twenty that were sent by then at the most.
    let early = |seen| lost(40).chain([get(19, 19, seen)]).collect::<Vec<_>>();
    accept(&CounterModel, &early(20));
    refuse(&CounterModel, &early(21), 40);
}

#[test]
fn an_update_needs_what_it_expects() {
    let update = |answer| {
        let action = Action::Update { expected: 0, value: 9 };
        [
            done(0, 10, Action::Set(2), Ok(Number { value: 2, previous: Some(0) })),
            done(20, 30, action, answer),
        ]
    };
    accept(&CounterModel, &update(Err(ErrorCode::Conflict)));
    refuse(&CounterModel, &update(told(9)), 1);
    refuse(
        &CounterModel,
        &[done(0, 1, Action::Update { expected: 0, value: 9 }, Err(ErrorCode::Conflict))],
        0,
    );
}

#[test]
fn a_set_tells_what_was_there() {
    let set = |previous| done(20, 30, Action::Set(1), Ok(Number { value: 1, previous: Some(previous) }));
    let before = done(0, 10, Action::Decrement(-4), told(4));
    accept(&CounterModel, &[before.clone(), set(4)]);
    refuse(&CounterModel, &[before, set(0)], 1);
}

#[test]
fn arithmetic_wraps_around() {
    let history = [
        done(0, 10, Action::Set(i64::MAX), Ok(Number { value: i64::MAX, previous: Some(0) })),
        done(20, 30, Action::Increment(1), told(i64::MIN)),
        done(40, 50, Action::Decrement(1), told(i64::MAX)),
    ];
    accept(&CounterModel, &history);
}

#[test]
fn a_refusal_that_counters_do_not_know_is_refused() {
    refuse(&CounterModel, &[done(0, 10, Action::Increment(1), Err(ErrorCode::NotFound))], 0);
}
