//! Maps: keys by themselves, and transactions and clears that join them.

use synod_testkit::linearizability::models::map::{Action, Input, MapModel, Output};
use synod_testkit::linearizability::models::{
    Answer, ClockBound, EntryAction, EntryAnswer, Shard, Versioned,
};
use synod_testkit::linearizability::{Budget, Operation, check};
use synod_types::{ErrorCode, PartitionId, PrimitiveId};

use crate::judge::{accept, answered, millis, ms, open, refuse};

type Op = Operation<Input, Answer<Output>>;

const MODEL: MapModel = MapModel { clock: ClockBound::EXACT };
const SHARD: Shard = Shard { primitive: PrimitiveId(1), partition: PartitionId(0) };

fn done(from: u64, to: u64, action: Action, answer: Answer<Output>) -> Op {
    answered(0, from, to, Input { shard: SHARD, action }, answer)
}

fn one(from: u64, to: u64, key: &str, action: EntryAction, answer: Answer<EntryAnswer>) -> Op {
    done(from, to, Action::One(key.into(), action), answer.map(Output::One))
}

fn versioned(value: &'static str, version: u64) -> Versioned {
    Versioned { value: value.into(), version }
}

fn put_action(value: &'static str) -> EntryAction {
    EntryAction::Put { value: value.into(), ttl: None, expected: 0 }
}

fn written(version: u64, previous: Option<Versioned>) -> EntryAnswer {
    EntryAnswer::Written { version, previous }
}

fn put(from: u64, to: u64, key: &str, value: &'static str, answer: EntryAnswer) -> Op {
    one(from, to, key, put_action(value), Ok(answer))
}

fn get(from: u64, to: u64, key: &str, found: Option<Versioned>) -> Op {
    one(from, to, key, EntryAction::Get, found.map(EntryAnswer::Found).ok_or(ErrorCode::NotFound))
}

fn transact(from: u64, to: u64, parts: &[(&str, EntryAction)], answer: Answer<Vec<EntryAnswer>>) -> Op {
    done(from, to, Action::Transact(owned(parts)), answer.map(Output::Transacted))
}

fn owned(parts: &[(&str, EntryAction)]) -> Vec<(String, EntryAction)> {
    parts.iter().map(|(key, action)| ((*key).to_owned(), action.clone())).collect()
}

fn count(from: u64, to: u64, action: Action, count: u64) -> Op {
    done(from, to, action, Ok(Output::Count(count)))
}

fn list(from: u64, to: u64, prefix: &str, entries: &[(&str, Versioned)]) -> Op {
    let entries = entries.iter().map(|(key, entry)| ((*key).to_owned(), entry.clone())).collect();
    done(from, to, Action::List(prefix.into()), Ok(Output::Listed(entries)))
}

#[test]
fn keys_are_judged_apart() {
    let history = [
        put(0, 1, "a", "x", written(1, None)),
        put(2, 3, "b", "x", written(2, None)),
        get(4, 5, "a", None),
        get(4, 5, "b", Some(versioned("x", 2))),
    ];
    let report = check(&MODEL, &history, Budget::default()).unwrap();
    assert_eq!((report.partitions, report.linearizable), (2, 1));
    assert_eq!(report.violations[0].culprit, 2);
    assert!(report.violations[0].keys.contains("\"a\""), "{report}");
}

#[test]
fn equal_bytes_change_nothing_unless_they_come_with_a_ttl() {
    let first = || put(0, 1, "k", "a", written(5, None));
    accept(&MODEL, &[first(), put(2, 3, "k", "a", written(5, Some(versioned("a", 5))))]);
    refuse(&MODEL, &[first(), put(2, 3, "k", "a", written(6, Some(versioned("a", 5))))], 1);
    let with_ttl = EntryAction::Put { value: "a".into(), ttl: Some(millis(1)), expected: 0 };
    let again = |version| one(2, 3, "k", with_ttl.clone(), Ok(written(version, Some(versioned("a", 5)))));
    accept(&MODEL, &[first(), again(6)]);
    refuse(&MODEL, &[first(), again(5)], 1);
}

/// The reference crashes every replica here.
#[test]
fn bug_a_put_with_a_version_on_a_missing_key_is_a_conflict() {
    let expecting = EntryAction::Put { value: "a".into(), ttl: None, expected: 7 };
    accept(&MODEL, &[one(0, 1, "k", expecting.clone(), Err(ErrorCode::Conflict))]);
    refuse(&MODEL, &[one(0, 1, "k", expecting.clone(), Ok(written(8, None)))], 0);
    refuse(&MODEL, &[one(0, 1, "k", expecting, Err(ErrorCode::NotFound))], 0);
}

#[test]
fn a_transaction_happens_at_one_moment() {
    let both = [("a", put_action("x")), ("b", put_action("x"))];
    let history = |a, b| {
        [
            transact(0, 100, &both, Ok(vec![written(5, None), written(5, None)])),
            get(10, 20, "a", a),
            get(30, 40, "b", b),
        ]
    };
    let seen = || Some(versioned("x", 5));
    accept(&MODEL, &history(None, None));
    accept(&MODEL, &history(None, seen()));
    accept(&MODEL, &history(seen(), seen()));
    refuse(&MODEL, &history(seen(), None), 2);
}

#[test]
fn a_transaction_has_one_version() {
    let both = [("a", put_action("x")), ("b", put_action("x"))];
    refuse(&MODEL, &[transact(0, 1, &both, Ok(vec![written(5, None), written(6, None)]))], 0);
    let kept = [("a", put_action("x")), ("b", put_action("y"))];
    let history = [
        put(0, 1, "a", "x", written(3, None)),
        transact(2, 3, &kept, Ok(vec![written(3, Some(versioned("x", 3))), written(5, None)])),
    ];
    accept(&MODEL, &history);
}

/// Half a transaction stays when its coordinator dies, in the reference.
#[test]
fn bug_half_a_transaction_is_refused() {
    let parts =
        [("a", put_action("x")), ("b", EntryAction::Update { value: "x".into(), ttl: None, expected: 0 })];
    let history = |seen| [transact(0, 1, &parts, Err(ErrorCode::NotFound)), get(2, 3, "a", seen)];
    accept(&MODEL, &history(None));
    refuse(&MODEL, &history(Some(versioned("x", 5))), 1);
    let lost = || open(0, 0, Input { shard: SHARD, action: Action::Transact(owned(&parts)) });
    accept(&MODEL, &[lost(), get(2, 3, "a", None)]);
    refuse(&MODEL, &[lost(), get(2, 3, "a", Some(versioned("x", 5)))], 1);
}

#[test]
fn the_first_refusal_of_a_transaction_decides() {
    let remove = EntryAction::Remove { expected: 0 };
    let check_absent = EntryAction::Check { expected: 0 };
    let parts = [("a", put_action("x")), ("b", remove.clone()), ("a", put_action("y"))];
    accept(&MODEL, &[transact(0, 1, &parts, Err(ErrorCode::NotFound))]);
    refuse(&MODEL, &[transact(0, 1, &parts, Err(ErrorCode::Conflict))], 0);
    let twice = [("a", put_action("x")), ("b", check_absent), ("a", put_action("y"))];
    accept(&MODEL, &[transact(0, 1, &twice, Err(ErrorCode::Conflict))]);
    let answers = vec![written(5, None), EntryAnswer::Checked(None), written(5, None)];
    refuse(&MODEL, &[transact(0, 1, &twice, Ok(answers))], 0);
    accept(&MODEL, &[transact(0, 1, &[], Ok(vec![]))]);
}

#[test]
fn a_check_requires_a_version_or_none() {
    let checked = |expected, answer: Answer<Option<Versioned>>| {
        let parts = [("a", EntryAction::Check { expected })];
        [
            put(0, 1, "a", "x", written(5, None)),
            transact(2, 3, &parts, answer.map(|found| vec![EntryAnswer::Checked(found)])),
        ]
    };
    accept(&MODEL, &checked(5, Ok(Some(versioned("x", 5)))));
    accept(&MODEL, &checked(4, Err(ErrorCode::Conflict)));
    accept(&MODEL, &checked(0, Err(ErrorCode::Conflict)));
    refuse(&MODEL, &checked(0, Ok(None)), 1);
    refuse(&MODEL, &checked(5, Err(ErrorCode::Conflict)), 1);
}

#[test]
fn a_clear_empties_all_keys_at_one_moment() {
    let history = |removed, b| {
        [
            put(0, 1, "a", "x", written(1, None)),
            put(0, 1, "b", "x", written(2, None)),
            count(10, 100, Action::Clear, removed),
            get(20, 30, "a", None),
            get(40, 50, "b", b),
        ]
    };
    accept(&MODEL, &history(2, None));
    refuse(&MODEL, &history(2, Some(versioned("x", 2))), 4);
    refuse(&MODEL, &history(1, None), 2);
}

#[test]
fn a_length_counts_what_is_there() {
    let history = |length| {
        [
            put(0, 1, "a", "x", written(1, None)),
            put(0, 9, "b", "x", written(2, None)),
            count(5, 6, Action::Len, length),
        ]
    };
    accept(&MODEL, &history(1));
    accept(&MODEL, &history(2));
    refuse(&MODEL, &history(0), 2);
    refuse(&MODEL, &history(3), 2);
    accept(&MODEL, &[count(0, 1, Action::Len, 0)]);
    refuse(&MODEL, &[count(0, 1, Action::Len, 1)], 0);
}

#[test]
fn a_listing_is_of_one_moment_and_in_order() {
    let (a, b) = (versioned("x", 1), versioned("x", 2));
    let history = |entries: &[(&str, Versioned)]| {
        [
            put(0, 1, "ka", "x", written(1, None)),
            put(2, 3, "kb", "x", written(2, None)),
            put(2, 3, "other", "x", written(3, None)),
            list(4, 5, "k", entries),
        ]
    };
    accept(&MODEL, &history(&[("ka", a.clone()), ("kb", b.clone())]));
    refuse(&MODEL, &history(&[("kb", b.clone()), ("ka", a.clone())]), 3);
    refuse(&MODEL, &history(&[("ka", a.clone())]), 3);
    refuse(&MODEL, &history(&[("ka", a.clone()), ("kb", b.clone()), ("kc", b.clone())]), 3);
    refuse(&MODEL, &history(&[("ka", a), ("kb", b), ("other", versioned("x", 3))]), 3);
}

#[test]
fn shards_are_apart() {
    let other = Shard { partition: PartitionId(1), ..SHARD };
    let elsewhere = answered(0, 2, 3, Input { shard: other, action: Action::Len }, Ok(Output::Count(0)));
    let history = [put(0, 1, "a", "x", written(1, None)), elsewhere, count(2, 3, Action::Len, 1)];
    let report = check(&MODEL, &history, Budget::default()).unwrap();
    assert_eq!((report.partitions, report.linearizable), (2, 2));
}

#[test]
fn ends_of_ttls_are_seen_by_all_that_joins_keys() {
    let expiring = |key| {
        let action = EntryAction::Put { value: "x".into(), ttl: Some(millis(100)), expected: 0 };
        one(ms(0), ms(1), key, action, Ok(written(if key == "a" { 1 } else { 2 }, None)))
    };
    let history = |last| [expiring("a"), expiring("b"), put(ms(2), ms(3), "c", "x", written(3, None)), last];
    for (at, length, fine) in [(50, 3, true), (50, 2, false), (150, 1, true), (150, 2, true), (150, 0, false)]
    {
        let history = history(count(ms(at - 1), ms(at), Action::Len, length));
        if fine { accept(&MODEL, &history) } else { refuse(&MODEL, &history, 3) }
    }
    let left = [("a", versioned("x", 1)), ("c", versioned("x", 3))];
    accept(&MODEL, &history(list(ms(149), ms(150), "", &left)));
    refuse(&MODEL, &history(list(ms(49), ms(50), "", &left)), 3);
    accept(&MODEL, &history(count(ms(149), ms(150), Action::Clear, 1)));
    refuse(&MODEL, &history(count(ms(49), ms(50), Action::Clear, 1)), 3);
}
