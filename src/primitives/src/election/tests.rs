//! The election against a plain list, and the handle through which the tests of its commands speak to it.

use proptest::prelude::*;
use synod_proto::election::v1 as wire;
use synod_proto::election::v1::Term;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Delete, DeleteResponse, event};
use synod_types::{ErrorCode, PrimitiveId, PrimitiveKind, SessionId};

use crate::testing::Machine;

pub(super) fn term(id: u64, leader: &str, queue: &[&str]) -> Term {
    Term { id, leader: leader.into(), queue: queue.iter().map(|id| (*id).to_owned()).collect() }
}

/// One election on a machine of its own.
pub(super) struct Election {
    pub(super) machine: Machine,
    id: PrimitiveId,
}

/// Sends a command with a candidate and returns the term it answers.
macro_rules! command {
    ($name:ident, $request:ident, $response:ident, $operation:ident) => {
        pub(super) fn $name(&mut self, candidate: &str) -> Result<Term, ErrorCode> {
            let request = wire::$request { candidate: candidate.into(), ..Default::default() };
            let response: wire::$response = self.machine.apply(self.id, Operation::$operation(request))?;
            Ok(response.term.unwrap())
        }
    };
}

impl Election {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Election, "e");
        Self { machine, id }
    }

    /// With these candidates, each in a session of its own: 1, 2, 3…
    pub(super) fn with(candidates: &[&str]) -> Self {
        let mut election = Self::new();
        for (session, candidate) in (1..).zip(candidates) {
            election.by(session).enter(candidate).unwrap();
        }
        election.machine.take_changes();
        election
    }

    /// Speaks for a session from now on.
    pub(super) fn by(&mut self, session: u64) -> &mut Self {
        self.machine.session = SessionId(session);
        self
    }

    command!(enter, EnterRequest, EnterResponse, ElectionEnter);
    command!(withdraw, WithdrawRequest, WithdrawResponse, ElectionWithdraw);
    command!(anoint, AnointRequest, AnointResponse, ElectionAnoint);
    command!(promote, PromoteRequest, PromoteResponse, ElectionPromote);
    command!(demote, DemoteRequest, DemoteResponse, ElectionDemote);
    command!(evict, EvictRequest, EvictResponse, ElectionEvict);

    pub(super) fn get(&mut self) -> Term {
        let request = QueryOperation::ElectionGet(wire::GetRequest::default());
        let response: wire::GetResponse = self.machine.query(self.id, request).unwrap();
        response.term.unwrap()
    }

    pub(super) fn delete_and_create(&mut self) {
        let deleted = self.machine.apply(self.id, Operation::Delete(Delete {}));
        assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
        self.machine.create(PrimitiveKind::Election, "e");
    }

    /// The states that watchers have seen since the last call.
    pub(super) fn events(&mut self) -> Vec<Term> {
        let events = self.machine.take_events().into_iter();
        events
            .map(|event| match event {
                event::Event::Election(event) => event.term.unwrap(),
                other => panic!("an election emits election events, not {other:?}"),
            })
            .collect()
    }
}

#[test]
fn before_the_first_leader_the_term_is_0() {
    assert_eq!(Election::new().get(), term(0, "", &[]));
}

#[test]
fn the_end_of_its_session_takes_a_leader_out_and_the_next_leads() {
    let mut election = Election::with(&["a", "b", "c"]);
    election.machine.end_session(SessionId(1));
    assert_eq!(election.get(), term(2, "b", &["c"]));
    election.machine.end_session(SessionId(3));
    assert_eq!(election.get(), term(2, "b", &[]));
    assert_eq!(election.events(), [term(2, "b", &["c"]), term(2, "b", &[])]);
}

#[test]
fn bug_watchers_hear_of_the_end_of_the_last_leader() {
    let mut election = Election::with(&["a"]);
    election.machine.end_session(SessionId(1));
    assert_eq!(election.get(), term(1, "", &[]));
    assert_eq!(election.events(), [term(1, "", &[])]);
    assert_eq!(election.by(2).enter("b"), Ok(term(2, "b", &[])));
}

#[test]
fn no_candidate_of_an_ended_session_leads_in_between() {
    let mut election = Election::new();
    for candidate in ["a", "b"] {
        election.by(1).enter(candidate).unwrap();
    }
    election.by(2).enter("c").unwrap();
    election.events();
    election.machine.end_session(SessionId(1));
    assert_eq!(election.events(), [term(2, "c", &[])]);
}

#[test]
fn bug_the_end_of_a_session_leaves_those_alone_whom_it_has_withdrawn() {
    let mut election = Election::with(&["a"]);
    election.by(1).withdraw("a").unwrap();
    election.by(2).enter("a").unwrap();
    election.events();
    election.machine.end_session(SessionId(1));
    assert_eq!(election.get(), term(2, "a", &[]));
    assert_eq!(election.events(), []);
    election.by(3).evict("a").unwrap();
    election.by(3).enter("a").unwrap();
    election.machine.end_session(SessionId(2));
    assert_eq!(election.get(), term(3, "a", &[]));
}

#[test]
fn deleting_the_primitive_leaves_nothing_but_the_term() {
    let mut election = Election::with(&["a", "b"]);
    election.delete_and_create();
    assert_eq!(election.events(), [term(1, "", &[])]);
    assert_eq!(election.get(), term(1, "", &[]));
    let hash = election.machine.hash();
    election.machine.end_session(SessionId(1));
    election.machine.end_session(SessionId(2));
    assert_eq!(election.machine.hash(), hash, "nothing was owned any more");
    assert_eq!(election.by(3).enter("c"), Ok(term(2, "c", &[])), "no fencing token comes again");
}

#[test]
fn an_election_that_never_had_a_leader_is_deleted_without_a_trace() {
    let mut election = Election::new();
    let deleted = election.machine.apply(election.id, Operation::Delete(Delete {}));
    assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
    assert!(election.machine.is_empty());
}

#[test]
fn candidates_out_of_bounds_are_refused() {
    let mut election = Election::new();
    assert_eq!(election.by(1).enter(""), Err(ErrorCode::Invalid));
    assert_eq!(election.enter(&"x".repeat(256)), Err(ErrorCode::Invalid));
    assert_eq!(election.machine.last_error(), "the candidate has 256 bytes: use at most 255");
    assert!(election.enter(&"x".repeat(255)).is_ok());
    let commands =
        [Election::withdraw, Election::anoint, Election::promote, Election::demote, Election::evict];
    for command in commands {
        assert_eq!(command(&mut election, ""), Err(ErrorCode::Invalid));
    }
}

/// What the election should be, written as plainly as can be: everybody in one list, the leader first.
#[derive(Default)]
struct Model {
    term: u64,
    all: Vec<(&'static str, u64)>,
}

impl Model {
    fn position(&self, candidate: &str) -> Option<usize> {
        self.all.iter().position(|(id, _)| *id == candidate)
    }

    fn apply(&mut self, step: &Step) -> Result<(), ErrorCode> {
        let leader = self.all.first().copied();
        match *step {
            Step::Enter(session, candidate) => match self.position(candidate) {
                _ if session == 0 => return Err(ErrorCode::Invalid),
                Some(at) if self.all[at].1 != session => return Err(ErrorCode::AlreadyExists),
                Some(_) => {}
                None => self.all.push((candidate, session)),
            },
            Step::Withdraw(session, candidate) => match self.position(candidate) {
                Some(at) if self.all[at].1 != session => return Err(ErrorCode::Forbidden),
                _ => self.all.retain(|(id, _)| *id != candidate),
            },
            Step::Evict(candidate) => self.all.retain(|(id, _)| *id != candidate),
            Step::Anoint(candidate) => {
                if let Some(at) = self.position(candidate) {
                    let chosen = self.all.remove(at);
                    self.all.insert(0, chosen);
                }
            }
            Step::Promote(candidate) => {
                if let Some(at @ 1..) = self.position(candidate) {
                    self.all.swap(at - 1, at);
                }
            }
            Step::Demote(candidate) => match self.position(candidate) {
                Some(at) if at + 1 < self.all.len() => self.all.swap(at, at + 1),
                _ => {}
            },
            Step::EndSession(session) => self.all.retain(|(_, of)| *of != session),
        }
        if let Some(new) = self.all.first()
            && Some(*new) != leader
        {
            self.term += 1;
        }
        Ok(())
    }

    fn term(&self) -> Term {
        let ids: Vec<_> = self.all.iter().map(|(id, _)| *id).collect();
        match ids.split_first() {
            Some((leader, queue)) => term(self.term, leader, queue),
            None => term(self.term, "", &[]),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u64, &'static str),
    Withdraw(u64, &'static str),
    Anoint(&'static str),
    Promote(&'static str),
    Demote(&'static str),
    Evict(&'static str),
    EndSession(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let candidate = || prop::sample::select(&["a", "b", "c", "d", "e", "f"][..]);
    prop_oneof![
        8 => (0u64..4, candidate()).prop_map(|(session, id)| Step::Enter(session, id)),
        2 => (0u64..4, candidate()).prop_map(|(session, id)| Step::Withdraw(session, id)),
        2 => candidate().prop_map(Step::Anoint),
        2 => candidate().prop_map(Step::Promote),
        2 => candidate().prop_map(Step::Demote),
        1 => candidate().prop_map(Step::Evict),
        1 => (1u64..4).prop_map(Step::EndSession),
    ]
}

fn perform(election: &mut Election, step: &Step) -> Result<Term, ErrorCode> {
    match *step {
        Step::Enter(session, candidate) => election.by(session).enter(candidate),
        Step::Withdraw(session, candidate) => election.by(session).withdraw(candidate),
        Step::Anoint(candidate) => election.anoint(candidate),
        Step::Promote(candidate) => election.promote(candidate),
        Step::Demote(candidate) => election.demote(candidate),
        Step::Evict(candidate) => election.evict(candidate),
        Step::EndSession(session) => {
            election.machine.end_session(SessionId(session));
            Ok(election.get())
        }
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_list_whose_first_leads(steps in prop::collection::vec(steps(), 1..80)) {
        let mut election = Election::new();
        let mut model = Model::default();
        for step in steps {
            let before = model.term();
            let expected = model.apply(&step).map(|()| model.term());
            prop_assert_eq!(perform(&mut election, &step), expected);
            let now = model.term();
            prop_assert_eq!(election.get(), now.clone());
            let event = (now != before).then_some(now);
            prop_assert_eq!(election.events(), Vec::from_iter(event), "watchers see every change and nothing else");
        }
    }
}
