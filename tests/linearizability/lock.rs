//! Locks: never held twice, first come first served, fences that grow, ends that are not early.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::lock::{Acquire, Action, Input, LockModel, Output, Shown};
use synod_testkit::linearizability::models::{Answer, ClockBound};
use synod_types::{ErrorCode, PrimitiveId};

use crate::judge::{accept, answered, millis, ms, open, refuse};

type Op = Operation<Input, Answer<Output>>;

const MODEL: LockModel = LockModel { clock: ClockBound::EXACT };

fn input(action: Action) -> Input {
    Input { lock: PrimitiveId(1), action }
}

fn done(from: u64, to: u64, action: Action, answer: Answer<Output>) -> Op {
    answered(0, from, to, input(action), answer)
}

fn acquire(from: u64, to: u64, acquire: Acquire, answer: Answer<Output>) -> Op {
    done(from, to, Action::Acquire(acquire), answer)
}

fn granted(from: u64, to: u64, request: Acquire, fence: u64) -> Op {
    acquire(from, to, request, Ok(Output::Granted(fence)))
}

fn queued(from: u64, to: u64, request: Acquire, ahead: u64) -> Op {
    acquire(from, to, request, Ok(Output::Queued(ahead)))
}

fn release(from: u64, to: u64, request: &str, fence: u64, answer: Answer<Output>) -> Op {
    done(from, to, Action::Release { request: request.into(), session: 1, fence }, answer)
}

fn released(from: u64, to: u64, request: &str, fence: u64) -> Op {
    release(from, to, request, fence, Ok(Output::Released(true)))
}

fn shown(from: u64, to: u64, holders: &[(&str, u64)], queue: &[&str], last_fence: u64) -> Op {
    let holders = holders.iter().map(|(request, fence)| ((*request).to_owned(), *fence)).collect();
    let queue = queue.iter().map(|request| (*request).to_owned()).collect();
    done(from, to, Action::Get, Ok(Output::Shown(Shown { holders, reading: false, queue, last_fence })))
}

fn current(from: u64, to: u64, fence: u64, current: bool) -> Op {
    done(from, to, Action::CheckFence(fence), Ok(Output::Current(current)))
}

fn leased(request: &str, session: u64, lease_ms: u64) -> Acquire {
    Acquire { lease: Some(millis(lease_ms)), ..Acquire::write(request, session) }
}

fn impatient(request: &str, session: u64) -> Acquire {
    Acquire { max_wait: Some(millis(0)), ..Acquire::write(request, session) }
}

#[test]
fn a_lock_held_twice_is_refused() {
    let second = |second| [granted(0, 10, Acquire::write("a", 1), 5), second];
    accept(&MODEL, &second(queued(5, 15, Acquire::write("b", 2), 0)));
    accept(&MODEL, &second(acquire(5, 15, impatient("b", 2), Err(ErrorCode::Expired))));
    refuse(&MODEL, &second(granted(5, 15, Acquire::write("b", 2), 6)), 1);
}

#[test]
fn fences_grow_with_every_grant() {
    let history = |second| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            released(2, 3, "a", 5),
            granted(4, 5, Acquire::write("b", 2), second),
        ]
    };
    accept(&MODEL, &history(9));
    refuse(&MODEL, &history(5), 2);
    refuse(&MODEL, &history(4), 2);
}

#[test]
fn nobody_overtakes_who_waits() {
    let history = |next: &str, fence| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            queued(2, 3, Acquire::write("b", 2), 0),
            queued(4, 5, Acquire::write("c", 3), 1),
            released(6, 7, "a", 5),
            shown(8, 9, &[(next, fence)], &[if next == "b" { "c" } else { "b" }], fence),
        ]
    };
    accept(&MODEL, &history("b", 6));
    refuse(&MODEL, &history("c", 6), 4);
    refuse(&MODEL, &history("b", 5), 4);
}

#[test]
fn a_place_in_the_queue_is_told_right() {
    refuse(&MODEL, &[granted(0, 1, Acquire::write("a", 1), 5), queued(2, 3, Acquire::write("b", 2), 1)], 1);
    refuse(&MODEL, &[queued(0, 1, Acquire::write("a", 1), 0)], 0);
}

#[test]
fn a_fence_that_came_out_of_the_queue_is_learned_and_stays() {
    let history = |first, second| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            queued(2, 3, Acquire::write("b", 2), 0),
            released(4, 5, "a", 5),
            granted(6, 7, Acquire::write("b", 2), first),
            shown(8, 9, &[("b", second)], &[], second),
        ]
    };
    accept(&MODEL, &history(8, 8));
    refuse(&MODEL, &history(8, 9), 4);
    refuse(&MODEL, &history(5, 5), 3);
}

#[test]
fn readers_share_and_a_waiting_writer_holds_later_readers_back() {
    let read = |request, session| Acquire::read(request, session);
    accept(&MODEL, &[granted(0, 1, read("a", 1), 5), granted(2, 3, read("b", 2), 6)]);
    refuse(&MODEL, &[granted(0, 1, read("a", 1), 5), granted(2, 3, Acquire::write("b", 2), 6)], 1);
    let behind_writer =
        |last| [granted(0, 1, read("a", 1), 5), queued(2, 3, Acquire::write("w", 2), 0), last];
    accept(&MODEL, &behind_writer(queued(4, 5, read("b", 3), 1)));
    refuse(&MODEL, &behind_writer(granted(4, 5, read("b", 3), 6)), 2);
}

/// etcd's unlock deletes by name: a retry takes the lock from whoever holds it by then.
#[test]
fn bug_a_late_release_does_not_end_another_grant() {
    let history = |answer, holders: &[(&str, u64)]| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            released(2, 3, "a", 5),
            granted(4, 5, Acquire::write("b", 2), 7),
            release(6, 7, "a", 5, answer),
            shown(8, 9, holders, &[], 7),
        ]
    };
    accept(&MODEL, &history(Ok(Output::Released(false)), &[("b", 7)]));
    refuse(&MODEL, &history(Ok(Output::Released(false)), &[]), 4);
    refuse(&MODEL, &history(Ok(Output::Released(true)), &[]), 3);
}

#[test]
fn a_request_that_is_over_is_not_granted_again() {
    let history = |from_ms, answer| {
        [
            granted(ms(0), ms(1), Acquire::write("a", 1), 5),
            released(ms(2), ms(3), "a", 5),
            acquire(ms(from_ms), ms(from_ms + 1), Acquire::write("a", 1), answer),
        ]
    };
    accept(&MODEL, &history(10, Err(ErrorCode::NotHeld)));
    refuse(&MODEL, &history(10, Ok(Output::Granted(9))), 2);
    accept(&MODEL, &history(700_000, Ok(Output::Granted(9))));
}

#[test]
fn a_lease_is_never_lost_early() {
    let history = |at_ms| {
        [
            granted(ms(0), ms(1), leased("a", 1, 100), 5),
            acquire(ms(at_ms - 1), ms(at_ms), impatient("b", 2), Ok(Output::Granted(9))),
        ]
    };
    accept(&MODEL, &history(100));
    refuse(&MODEL, &history(99), 1);
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let renew =
        |answer| done(ms(50), ms(51), Action::Renew { request: "a".into(), fence: 5, lease: None }, answer);
    let history = |at_ms| {
        [
            granted(ms(0), ms(1), leased("a", 1, 100), 5),
            renew(Ok(Output::Renewed(millis(100)))),
            acquire(ms(at_ms - 1), ms(at_ms), impatient("b", 2), Ok(Output::Granted(9))),
        ]
    };
    accept(&MODEL, &history(150));
    refuse(&MODEL, &history(149), 2);
    refuse(&MODEL, &[granted(ms(0), ms(1), leased("a", 1, 100), 5), renew(Err(ErrorCode::NotHeld))], 1);
    refuse(
        &MODEL,
        &[granted(ms(0), ms(1), leased("a", 1, 100), 5), renew(Ok(Output::Renewed(millis(99))))],
        1,
    );
}

/// The waiter is granted when the lease ends, and its own lease counts from then.
#[test]
fn a_waiter_is_granted_when_a_lease_ends_and_not_before() {
    let history = |at_ms, answer| {
        [
            granted(ms(0), ms(1), leased("a", 1, 100), 5),
            queued(ms(2), ms(3), leased("b", 2, 100), 0),
            acquire(ms(at_ms - 1), ms(at_ms), leased("b", 2, 100), answer),
        ]
    };
    accept(&MODEL, &history(100, Ok(Output::Granted(6))));
    refuse(&MODEL, &history(99, Ok(Output::Granted(6))), 2);
    accept(&MODEL, &history(150, Ok(Output::Queued(0))));
    accept(&MODEL, &history(200, Err(ErrorCode::NotHeld)));
    refuse(&MODEL, &history(199, Err(ErrorCode::NotHeld)), 2);
}

/// Hazelcast and etcd 3.4 have granted to waiters whose sessions were dead.
#[test]
fn bug_a_waiter_whose_session_has_ended_is_not_granted() {
    let history = |holders: &[(&str, u64)], queue: &[&str]| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            queued(2, 3, Acquire::write("b", 2), 0),
            queued(4, 5, Acquire::write("c", 3), 1),
            done(6, 7, Action::EndSession(2), Ok(Output::Done)),
            released(8, 9, "a", 5),
            shown(10, 11, holders, queue, 8),
        ]
    };
    accept(&MODEL, &history(&[("c", 8)], &[]));
    refuse(&MODEL, &history(&[("b", 8)], &["c"]), 5);
}

/// The end of an old session must not release the lock of whoever holds it by then.
#[test]
fn bug_the_end_of_an_old_session_does_not_release_the_new_holder() {
    let history = |answer| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            released(2, 3, "a", 5),
            granted(4, 5, Acquire::write("b", 2), 7),
            done(6, 7, Action::EndSession(1), Ok(Output::Done)),
            acquire(8, 9, impatient("c", 3), answer),
        ]
    };
    accept(&MODEL, &history(Err(ErrorCode::Expired)));
    refuse(&MODEL, &history(Ok(Output::Granted(9))), 4);
}

#[test]
fn a_session_that_may_have_ended_loses_its_lock_or_not() {
    let history = |ends, answer| {
        [
            granted(0, 1, Acquire::write("a", 1), 5),
            open(9, ends, input(Action::EndSession(1))),
            acquire(50, 60, impatient("b", 2), answer),
        ]
    };
    accept(&MODEL, &history(40, Ok(Output::Granted(7))));
    accept(&MODEL, &history(40, Err(ErrorCode::Expired)));
    refuse(&MODEL, &history(61, Ok(Output::Granted(7))), 2);
}

#[test]
fn a_loss_makes_the_lock_unavailable_and_a_release_does_not() {
    let careful = || Acquire { delay: millis(100), ..Acquire::write("a", 1) };
    let after = |end, answer| {
        [granted(ms(0), ms(1), careful(), 5), end, acquire(ms(50), ms(60), impatient("b", 2), answer)]
    };
    let lost = || done(ms(10), ms(11), Action::EndSession(1), Ok(Output::Done));
    let given = || released(ms(10), ms(11), "a", 5);
    let forced = || done(ms(10), ms(11), Action::ForceRelease(5), Ok(Output::Done));
    accept(&MODEL, &after(lost(), Err(ErrorCode::Expired)));
    refuse(&MODEL, &after(lost(), Ok(Output::Granted(9))), 2);
    for end in [given, forced] {
        accept(&MODEL, &after(end(), Ok(Output::Granted(9))));
        refuse(&MODEL, &after(end(), Err(ErrorCode::Expired)), 2);
    }
}

#[test]
fn a_wait_ends_in_its_time() {
    let patient = Acquire { max_wait: Some(millis(50)), ..Acquire::write("b", 2) };
    let history = |at_ms, queue: &[&str]| {
        [
            granted(ms(0), ms(1), Acquire::write("a", 1), 5),
            queued(ms(2), ms(3), patient.clone(), 0),
            shown(ms(at_ms - 1), ms(at_ms), &[("a", 5)], queue, 5),
        ]
    };
    accept(&MODEL, &history(52, &[]));
    refuse(&MODEL, &history(51, &[]), 2);
    accept(&MODEL, &history(500, &["b"]));
}

#[test]
fn a_fence_is_current_as_long_as_its_grant_lasts() {
    let after = |last| [granted(0, 1, Acquire::write("a", 1), 5), released(10, 20, "a", 5), last];
    accept(&MODEL, &after(current(5, 15, 5, true)));
    refuse(&MODEL, &after(current(25, 26, 5, true)), 2);
    refuse(&MODEL, &after(current(2, 3, 5, false)), 2);
    refuse(&MODEL, &after(current(2, 3, 6, true)), 2);
}

#[test]
fn a_request_without_an_answer_may_hold_the_lock_or_not() {
    let history = |answer| {
        [open(1, 0, input(Action::Acquire(Acquire::write("a", 1)))), acquire(5, 6, impatient("b", 2), answer)]
    };
    accept(&MODEL, &history(Ok(Output::Granted(7))));
    accept(&MODEL, &history(Err(ErrorCode::Expired)));
    let withdrawn = |second| {
        [
            open(1, 0, input(Action::Acquire(Acquire::write("a", 1)))),
            release(5, 6, "a", 0, Ok(Output::Released(false))),
            second,
        ]
    };
    accept(&MODEL, &withdrawn(granted(7, 8, impatient("b", 2), 9)));
    refuse(&MODEL, &withdrawn(acquire(7, 8, impatient("b", 2), Err(ErrorCode::Expired))), 2);
}

#[test]
fn a_session_may_share_its_own_grant_if_it_asks_for_that() {
    let again = |reentrant| Acquire { reentrant, ..Acquire::write("b", 1) };
    let history = |second| [granted(0, 1, Acquire::write("a", 1), 5), second];
    accept(&MODEL, &history(granted(2, 3, again(true), 5)));
    refuse(&MODEL, &history(granted(2, 3, again(true), 6)), 1);
    accept(&MODEL, &history(queued(2, 3, again(false), 0)));
    let both = [
        granted(0, 1, Acquire::write("a", 1), 5),
        granted(2, 3, again(true), 5),
        released(4, 5, "a", 5),
        acquire(6, 7, impatient("c", 2), Ok(Output::Granted(9))),
    ];
    refuse(&MODEL, &both, 3);
    let upgrade = |answer| {
        let writer = Acquire { reentrant: true, ..Acquire::write("b", 1) };
        [granted(0, 1, Acquire::read("a", 1), 5), acquire(2, 3, writer, answer)]
    };
    accept(&MODEL, &upgrade(Err(ErrorCode::Invalid)));
    refuse(&MODEL, &upgrade(Ok(Output::Granted(5))), 1);
}
