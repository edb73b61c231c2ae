//! Elections.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::Answer;
use synod_testkit::linearizability::models::election::{Action, ElectionModel, Input, Output, Term};
use synod_types::{ErrorCode, PrimitiveId};

use crate::judge::{accept, answered, open, refuse};

type Op = Operation<Input, Answer<Output>>;

fn input(action: Action) -> Input {
    Input { election: PrimitiveId(1), action }
}

fn term(id: u64, leader: &str, queue: &[&str]) -> Answer<Output> {
    let queue = queue.iter().map(|candidate| (*candidate).to_owned()).collect();
    Ok(Some(Term { id, leader: leader.into(), queue }))
}

fn done(from: u64, to: u64, action: Action, answer: Answer<Output>) -> Op {
    answered(0, from, to, input(action), answer)
}

fn enter(from: u64, to: u64, candidate: &str, session: u64, answer: Answer<Output>) -> Op {
    done(from, to, Action::Enter { candidate: candidate.into(), session }, answer)
}

/// Two candidates have entered, each with a session of its own: a leads, b waits.
fn two_candidates(last: Op) -> [Op; 3] {
    [enter(0, 1, "a", 1, term(1, "a", &[])), enter(2, 3, "b", 2, term(1, "a", &["b"])), last]
}

#[test]
fn two_leaders_of_one_term_are_refused() {
    let race = |second| [enter(0, 10, "a", 1, term(1, "a", &[])), enter(0, 10, "b", 2, second)];
    accept(&ElectionModel, &race(term(1, "a", &["b"])));
    refuse(&ElectionModel, &race(term(1, "b", &[])), 1);
}

#[test]
fn only_another_leader_makes_a_term() {
    let evicted = |answer| two_candidates(done(4, 5, Action::Evict("a".into()), answer));
    accept(&ElectionModel, &evicted(term(2, "b", &[])));
    refuse(&ElectionModel, &evicted(term(1, "b", &[])), 2);
    let nobody = |id| {
        [enter(0, 1, "a", 1, term(1, "a", &[])), done(2, 3, Action::Evict("a".into()), term(id, "", &[]))]
    };
    accept(&ElectionModel, &nobody(1));
    refuse(&ElectionModel, &nobody(2), 1);
}

#[test]
fn every_action_leads_to_its_state() {
    let after = |action, answer| two_candidates(done(4, 5, action, answer));
    let name = |name: &str| name.to_owned();
    for (action, answer) in [
        (Action::Anoint(name("b")), term(2, "b", &["a"])),
        (Action::Anoint(name("a")), term(1, "a", &["b"])),
        (Action::Anoint(name("x")), term(1, "a", &["b"])),
        (Action::Promote(name("b")), term(2, "b", &["a"])),
        (Action::Promote(name("a")), term(1, "a", &["b"])),
        (Action::Demote(name("a")), term(2, "b", &["a"])),
        (Action::Demote(name("b")), term(1, "a", &["b"])),
        (Action::Withdraw { candidate: name("b"), session: 2 }, term(1, "a", &[])),
        (Action::Withdraw { candidate: name("b"), session: 1 }, Err(ErrorCode::Forbidden)),
        (Action::Withdraw { candidate: name("x"), session: 1 }, term(1, "a", &["b"])),
        (Action::Enter { candidate: name("b"), session: 2 }, term(1, "a", &["b"])),
        (Action::Enter { candidate: name("b"), session: 1 }, Err(ErrorCode::AlreadyExists)),
        (Action::Enter { candidate: name("c"), session: 0 }, Err(ErrorCode::Invalid)),
        (Action::Get, term(1, "a", &["b"])),
    ] {
        accept(&ElectionModel, &after(action.clone(), answer));
        refuse(&ElectionModel, &after(action, term(7, "a", &["b"])), 2);
    }
}

#[test]
fn a_stale_read_is_refused() {
    refuse(&ElectionModel, &two_candidates(done(4, 5, Action::Get, term(1, "a", &[]))), 2);
}

#[test]
fn a_session_that_may_have_ended_takes_its_candidates_with_it_or_not() {
    let after = |leader, seen| {
        let ends = open(9, leader, input(Action::EndSession(1)));
        let [first, second, last] = two_candidates(done(40, 50, Action::Get, seen));
        [first, second, ends, last]
    };
    accept(&ElectionModel, &after(20, term(1, "a", &["b"])));
    accept(&ElectionModel, &after(20, term(2, "b", &[])));
    refuse(&ElectionModel, &after(20, term(2, "b", &["a"])), 3);
    refuse(&ElectionModel, &after(60, term(2, "b", &[])), 3);
}
