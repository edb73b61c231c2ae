//! Leadership that comes and goes.

use synod_proto::peer::v1 as peer;
use synod_protocol::{Message, Role};

use super::*;
use crate::wire::{message_from_wire, message_to_wire};

const PRE_VOTE: u32 = 17;
const VOTE: u32 = 5;
const HEARTBEAT: u32 = 8;
const APPEND: u32 = 3;
const TAKE_OVER: u32 = 14;

/// What is sent back for a request for votes.
const fn answer_to(kind: u32) -> u32 {
    kind + 1
}

fn message(from: u64, kind: u32, term: u64) -> Input {
    raft_message(from, peer::Raft { kind, term, ..peer::Raft::default() })
}

fn raft_message(from: u64, raft: peer::Raft) -> Input {
    let body = Some(peer::message::Body::Raft(raft));
    let wire = peer::Message { from, to: MEMBER.get(), body, ..peer::Message::default() };
    Input::Message(message_from_wire(wire).unwrap())
}

/// The term of a message of a kind, if it is one.
fn term_of(message: Message, kind: u32) -> Option<u64> {
    match message_to_wire(message).body {
        Some(peer::message::Body::Raft(raft)) if raft.kind == kind => Some(raft.term),
        _ => None,
    }
}

/// One of three members.
fn one_of_three() -> Replica {
    let mut genesis = genesis(Limits::default());
    genesis.members.extend([2, 3].map(|id| Member { id, ..Member::default() }));
    let mut store = MemoryStore::default();
    genesis.write(&mut store).unwrap();
    let (now, snapshot) = (Monotonic::from_nanos(1), genesis.metadata());
    let start = Start { snapshot: snapshot.clone(), ..Start::default() };
    let protocol = Raft::new(now, MEMBER, raft::Options::default(), start).unwrap();
    let machine = Machine::load(Box::new(store), History::default()).unwrap();
    Replica::new(now, MEMBER, Options::default(), Box::new(protocol), machine, snapshot, 0)
}

/// Lets time pass until a request of a kind is sent, makes durable what is to be, and returns the term.
fn until_it_asks(replica: &mut Replica, kind: u32) -> u64 {
    for _ in 0..1_000 {
        let now = replica.deadline();
        let mut asked = None;
        for effect in replica.flush(now) {
            match effect {
                Effect::Send(_, message) => asked = asked.or(term_of(message, kind)),
                Effect::Persist(persist) => replica.handle(now, Input::Persisted(persist.token)),
                _ => {}
            }
        }
        if let Some(term) = asked {
            return term;
        }
    }
    panic!("it never asks for votes");
}

#[test]
fn a_write_that_came_while_leadership_was_won_and_lost_is_answered() {
    let mut replica = one_of_three();
    let term = until_it_asks(&mut replica, PRE_VOTE);
    replica.handle(replica.now, message(2, answer_to(PRE_VOTE), term));
    let term = until_it_asks(&mut replica, VOTE);
    let now = replica.now;
    replica.handle(now, message(2, answer_to(VOTE), term));
    assert_eq!(replica.standing().role, Role::Leader);
    let open = Some(request::Body::Open(Open { timeout_ms: 5_000, client: String::new() }));
    replica.handle(now, Input::Request(CLIENT, Request { tag: 7, body: open }));
    replica.handle(now, message(3, HEARTBEAT, term + 1));
    assert_eq!(replica.standing().role, Role::Follower);
    let errors: Vec<_> = replica
        .flush(now)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Reply { client: CLIENT, tag: 7, body: reply::Body::Error(error), .. } => Some(error),
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(ErrorCode::from_number(errors[0].code), ErrorCode::NotLeader);
    assert!(!errors[0].may_have_happened);
}

/// Lets the disk hold up a leader for a while; these others have what it appended. Whom it
/// tells to take over, and after how long.
fn told_to_take_over(faster: &[u64]) -> Option<(MemberId, Duration)> {
    let mut replica = one_of_three();
    let term = until_it_asks(&mut replica, PRE_VOTE);
    replica.handle(replica.now, message(2, answer_to(PRE_VOTE), term));
    let term = until_it_asks(&mut replica, VOTE);
    replica.handle(replica.now, message(2, answer_to(VOTE), term));
    let began = replica.now;
    while replica.now.since(began) < ms(900) {
        for effect in replica.flush(replica.deadline()) {
            let Effect::Send(to, message) = effect else { continue };
            if term_of(message.clone(), TAKE_OVER).is_some() {
                return Some((to, replica.now.since(began)));
            }
            let Some(peer::message::Body::Raft(sent)) = message_to_wire(message).body else { continue };
            if [APPEND, HEARTBEAT].contains(&sent.kind) {
                let has = if faster.contains(&to.get()) { sent.index + sent.entries.len() as u64 } else { 0 };
                let kind = answer_to(sent.kind);
                let answer =
                    peer::Raft { kind, term, index: has, context: sent.context, ..peer::Raft::default() };
                replica.handle(replica.now, raft_message(to.get(), answer));
            }
        }
    }
    None
}

#[test]
fn a_leader_whose_disk_holds_up_what_the_others_have_hands_over() {
    let (_, after) = told_to_take_over(&[2, 3]).expect("it hands over");
    assert!(after >= Options::default().disk_patience, "after {after:?}");
}

#[test]
fn a_leader_stays_when_its_disk_holds_up_nobody() {
    assert_eq!(told_to_take_over(&[2]), None);
}

/// Lets time pass until the replica has become leader and stamps its first entry, with the votes of the others.
fn first_stamp(replica: &mut Replica) -> u64 {
    for _ in 0..1_000 {
        for effect in replica.flush(replica.deadline()) {
            let (to, sent) = match effect {
                Effect::Send(to, message) => (to.get(), message_to_wire(message).body),
                Effect::Persist(persist) => {
                    replica.handle(replica.now, Input::Persisted(persist.token));
                    continue;
                }
                _ => continue,
            };
            let Some(peer::message::Body::Raft(sent)) = sent else { continue };
            let stamped = sent.entries.iter().find(|entry| !entry.data.is_empty());
            if let Some(entry) = stamped {
                return Batch::decode(entry.data.clone()).unwrap().time_ms;
            }
            let index = sent.index + sent.entries.len() as u64;
            let (kind, term) = (answer_to(sent.kind), sent.term);
            let answer = peer::Raft { kind, term, index, context: sent.context, ..peer::Raft::default() };
            replica.handle(replica.now, raft_message(to, answer));
        }
    }
    panic!("it never leads");
}

/// A follower hears from its leader for 40 seconds, and applies entries with one and the same stamp when they come. Then
/// it leads: how far its log time is from that stamp, and the moment at which it is.
fn passed_ms(entries_at: &[Duration]) -> (u64, Duration) {
    let mut replica = one_of_three();
    let (began, stamp) = (replica.now, 5_000_000);
    let data: Bytes = Batch { time_ms: stamp, ..Batch::default() }.encode_to_vec().into();
    let mut leader = peer::Raft { term: 2, log_term: 1, index: 1, commit: 1, ..peer::Raft::default() };
    for elapsed in (0..400).map(|tenths| ms(tenths * 100)) {
        let heartbeat = peer::Raft { kind: HEARTBEAT, ..leader.clone() };
        let mut append = peer::Raft { kind: APPEND, ..leader.clone() };
        if entries_at.contains(&elapsed) {
            leader = peer::Raft { log_term: 2, index: leader.index + 1, commit: leader.commit + 1, ..leader };
            append.commit = leader.commit;
            append.entries = vec![peer::Entry { term: 2, index: leader.index, data: data.clone(), kind: 0 }];
        }
        replica.handle(began + elapsed, raft_message(2, heartbeat));
        replica.handle(began + elapsed, raft_message(2, append));
        for effect in replica.flush(began + elapsed) {
            if let Effect::Persist(persist) = effect {
                replica.handle(replica.now, Input::Persisted(persist.token));
            }
        }
    }
    (first_stamp(&mut replica) - stamp, replica.now.since(began))
}

/// What has passed under the last leader since it last wrote counts: a quiet group has no entry that would say so, and
/// a TTL would have all its time again with each leader.
#[test]
fn bug_a_ttl_does_not_begin_anew_with_a_leader() {
    let (passed_ms, elapsed) = passed_ms(&[ms(0)]);
    assert!((elapsed - ms(200)..=elapsed).contains(&ms(passed_ms)), "{passed_ms} ms of {elapsed:?}");
}

/// A leader that was late itself gives a stamp that others have known for long, and what it begins lasts from then.
#[test]
fn bug_a_stamp_that_is_given_again_counts_from_the_last_time() {
    let (passed_ms, elapsed) = passed_ms(&[ms(0), ms(20_000)]);
    let since = elapsed - ms(20_000);
    assert!((since - ms(200)..=since).contains(&ms(passed_ms)), "{passed_ms} ms of {since:?}");
}
