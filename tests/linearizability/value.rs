//! Values: versions, and ends that must not come early.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::value::{Input, ValueModel};
use synod_testkit::linearizability::models::{Answer, ClockBound, EntryAction, EntryAnswer, Versioned};
use synod_types::{ErrorCode, PrimitiveId};

use crate::judge::{accept, answered, millis, ms, open, refuse};

type Op = Operation<Input, Answer<EntryAnswer>>;

const MODEL: ValueModel = ValueModel { clock: ClockBound::EXACT };

fn input(action: EntryAction) -> Input {
    Input { value: PrimitiveId(1), action }
}

fn done(from: u64, to: u64, action: EntryAction, answer: Answer<EntryAnswer>) -> Op {
    answered(0, from, to, input(action), answer)
}

fn versioned(value: &'static str, version: u64) -> Versioned {
    Versioned { value: value.into(), version }
}

fn set_action(value: &'static str, ttl_ms: Option<u64>) -> EntryAction {
    EntryAction::Set { value: value.into(), ttl: ttl_ms.map(millis) }
}

fn written(version: u64, previous: Option<Versioned>) -> Answer<EntryAnswer> {
    Ok(EntryAnswer::Written { version, previous })
}

fn set(from: u64, to: u64, value: &'static str, version: u64, previous: Option<Versioned>) -> Op {
    done(from, to, set_action(value, None), written(version, previous))
}

fn get(from: u64, to: u64, found: Versioned) -> Op {
    done(from, to, EntryAction::Get, Ok(EntryAnswer::Found(found)))
}

fn gone(from: u64, to: u64) -> Op {
    done(from, to, EntryAction::Get, Err(ErrorCode::NotFound))
}

fn update(from: u64, to: u64, value: &'static str, expected: u64, answer: Answer<EntryAnswer>) -> Op {
    done(from, to, EntryAction::Update { value: value.into(), ttl: None, expected }, answer)
}

fn delete(from: u64, to: u64, expected: u64, answer: Answer<EntryAnswer>) -> Op {
    done(from, to, EntryAction::Remove { expected }, answer)
}

#[test]
fn versions_grow_with_every_write() {
    let second = |version| [set(0, 1, "a", 5, None), set(2, 3, "a", version, Some(versioned("a", 5)))];
    accept(&MODEL, &second(9));
    refuse(&MODEL, &second(5), 1);
    refuse(&MODEL, &second(4), 1);
}

#[test]
fn a_version_does_not_come_again_after_a_deletion() {
    let again = |version| {
        [
            set(0, 1, "a", 5, None),
            delete(2, 3, 5, Ok(EntryAnswer::Removed(versioned("a", 5)))),
            gone(4, 5),
            set(6, 7, "b", version, None),
        ]
    };
    accept(&MODEL, &again(6));
    refuse(&MODEL, &again(5), 3);
}

#[test]
fn a_write_tells_what_it_replaced() {
    let second = |previous| [set(0, 1, "a", 5, None), set(2, 3, "b", 6, previous)];
    accept(&MODEL, &second(Some(versioned("a", 5))));
    refuse(&MODEL, &second(None), 1);
    refuse(&MODEL, &second(Some(versioned("x", 5))), 1);
    refuse(&MODEL, &second(Some(versioned("a", 4))), 1);
}

#[test]
fn two_updates_of_one_version_lose_one() {
    let race = |second| {
        [
            set(0, 1, "a", 5, None),
            update(2, 10, "b", 5, written(6, Some(versioned("a", 5)))),
            update(3, 9, "c", 5, second),
        ]
    };
    accept(&MODEL, &race(Err(ErrorCode::Conflict)));
    refuse(&MODEL, &race(written(7, Some(versioned("a", 5)))), 1);
}

#[test]
fn refusals_have_their_reasons() {
    let absent = [
        update(0, 1, "a", 0, Err(ErrorCode::NotFound)),
        update(0, 1, "a", 7, Err(ErrorCode::NotFound)),
        delete(2, 3, 7, Err(ErrorCode::NotFound)),
    ];
    accept(&MODEL, &absent);
    refuse(&MODEL, &[update(0, 1, "a", 7, Err(ErrorCode::Conflict))], 0);
    let insert = |answer| done(2, 3, EntryAction::Insert { value: "b".into(), ttl: None }, answer);
    let present = |second| [set(0, 1, "a", 5, None), second];
    accept(&MODEL, &present(insert(Err(ErrorCode::AlreadyExists))));
    refuse(&MODEL, &present(insert(written(6, None))), 1);
    refuse(&MODEL, &[insert(Err(ErrorCode::AlreadyExists))], 0);
    accept(&MODEL, &present(delete(2, 3, 4, Err(ErrorCode::Conflict))));
    refuse(&MODEL, &present(delete(2, 3, 5, Err(ErrorCode::Conflict))), 1);
    refuse(&MODEL, &present(delete(2, 3, 0, Err(ErrorCode::NotFound))), 1);
}

/// The reference implementation mutates after it has answered CONFLICT.
#[test]
fn bug_a_refused_update_must_not_write() {
    let history = [
        set(0, 1, "a", 5, None),
        update(2, 3, "b", 4, Err(ErrorCode::Conflict)),
        get(4, 5, versioned("b", 6)),
    ];
    refuse(&MODEL, &history, 2);
}

#[test]
fn the_version_of_a_write_without_an_answer_is_learned_and_stays() {
    let after = |first: u64, second: u64| {
        [
            set(0, 1, "a", 5, None),
            open(1, 2, input(set_action("b", None))),
            get(10, 11, versioned("b", first)),
            get(12, 13, versioned("b", second)),
        ]
    };
    accept(&MODEL, &after(6, 6));
    accept(&MODEL, &after(99, 99));
    refuse(&MODEL, &after(5, 5), 2);
    refuse(&MODEL, &after(7, 8), 3);
}

#[test]
fn an_update_without_an_answer_happens_only_if_it_may() {
    let lost = || open(1, 2, input(EntryAction::Update { value: "b".into(), ttl: None, expected: 5 }));
    let after = |version, seen| [set(0, 1, "a", version, None), lost(), get(10, 11, seen)];
    accept(&MODEL, &after(5, versioned("b", 8)));
    accept(&MODEL, &after(5, versioned("a", 5)));
    refuse(&MODEL, &after(4, versioned("b", 8)), 2);
}

#[test]
fn a_ttl_never_ends_early() {
    let expiring = |from, to| done(from, to, set_action("a", Some(100)), written(5, None));
    accept(&MODEL, &[expiring(ms(0), ms(10)), gone(ms(99), ms(100))]);
    refuse(&MODEL, &[expiring(ms(0), ms(10)), gone(ms(20), ms(99))], 1);
    accept(&MODEL, &[expiring(ms(0), ms(10)), get(ms(500), ms(501), versioned("a", 5))]);
}

#[test]
fn a_ttl_that_has_ended_stays_so() {
    let history = [
        done(ms(0), ms(10), set_action("a", Some(100)), written(5, None)),
        gone(ms(150), ms(151)),
        get(ms(160), ms(161), versioned("a", 5)),
    ];
    refuse(&MODEL, &history, 2);
}

#[test]
fn every_write_replaces_the_ttl() {
    let again = |ttl_ms| {
        [
            done(ms(0), ms(1), set_action("a", Some(100)), written(5, None)),
            done(ms(50), ms(51), set_action("a", ttl_ms), written(6, Some(versioned("a", 5)))),
            gone(ms(110), ms(111)),
        ]
    };
    refuse(&MODEL, &again(Some(100)), 2);
    refuse(&MODEL, &again(None), 2);
    accept(&MODEL, &again(Some(60)));
}

#[test]
fn a_clock_that_drifts_may_end_a_ttl_a_little_early() {
    let history = |gone_ms| {
        [done(ms(0), ms(1), set_action("a", Some(1_000)), written(5, None)), gone(ms(500), ms(gone_ms))]
    };
    let model = ValueModel { clock: ClockBound { drift_ppm: 100_000, slack: millis(1) } };
    accept(&model, &history(909));
    refuse(&model, &history(907), 1);
}

#[test]
fn what_a_ttl_has_ended_can_be_inserted_again() {
    let insert =
        |from, to| done(from, to, EntryAction::Insert { value: "b".into(), ttl: None }, written(9, None));
    let expiring = done(ms(0), ms(10), set_action("a", Some(100)), written(5, None));
    accept(&MODEL, &[expiring.clone(), insert(ms(90), ms(101)), get(ms(102), ms(103), versioned("b", 9))]);
    refuse(&MODEL, &[expiring, insert(ms(90), ms(99))], 1);
}
