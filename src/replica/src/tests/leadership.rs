//! Leadership that comes and goes.

use synod_proto::peer::v1 as peer;
use synod_protocol::{Message, Role};

use super::*;
use crate::wire::{message_from_wire, message_to_wire};

const PRE_VOTE: u32 = 17;
const VOTE: u32 = 5;
const HEARTBEAT: u32 = 8;

/// What is sent back for a request for votes.
const fn answer_to(kind: u32) -> u32 {
    kind + 1
}

fn message(from: u64, kind: u32, term: u64) -> Input {
    let raft = peer::Raft { kind, term, ..peer::Raft::default() };
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
