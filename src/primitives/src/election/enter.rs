//! `election enter`: enters a candidate for as long as the caller's session lives.

use synod_proto::election::v1::{EnterRequest, EnterResponse};
use synod_types::{ErrorCode, PrimitiveKind, SessionId};

use super::state::Candidate;
use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for EnterRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = EnterResponse;

    /// Entering twice changes nothing. Rejects with `Invalid` a caller without a session, with `AlreadyExists` a
    /// candidate of another session, with `ResourceExhausted` one who would wait in a queue that is full.
    fn apply(self, context: &mut Context<'_>) -> Outcome<EnterResponse> {
        super::check_candidate(&self.candidate)?;
        let session = context.environment.session;
        if session == SessionId::default() {
            let message = "a candidate lives as long as its session: open a session";
            return Err(Failure::rejected(ErrorCode::Invalid, message));
        }
        let most = context.limits().waiters;
        let term = super::change(context, |context, election| {
            if let Some(found) = election.find(&self.candidate) {
                if found.session() == session {
                    return Ok(());
                }
                let message = "another session entered this candidate: use another name";
                return Err(Failure::rejected(ErrorCode::AlreadyExists, message));
            }
            if election.waiting() >= most {
                let message = format!("{most} candidates wait already, which is the most");
                return Err(Failure::rejected(ErrorCode::ResourceExhausted, message));
            }
            election.enter(Candidate { id: self.candidate.clone(), session: session.get() });
            Ok(context.own(session, self.candidate.as_bytes())?)
        })?;
        Ok(EnterResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};
    use super::*;

    #[test]
    fn the_first_leads_and_the_others_wait_in_order() {
        let mut election = Election::new();
        assert_eq!(election.by(1).enter("a"), Ok(term(1, "a", &[])));
        assert_eq!(election.by(2).enter("b"), Ok(term(1, "a", &["b"])));
        assert_eq!(election.by(3).enter("c"), Ok(term(1, "a", &["b", "c"])));
    }

    #[test]
    fn bug_leader_cannot_also_queue() {
        let mut election = Election::with(&["a", "b"]);
        let hash = election.machine.hash();
        assert_eq!(election.by(1).enter("a"), Ok(term(1, "a", &["b"])));
        assert_eq!(election.by(2).enter("b"), Ok(term(1, "a", &["b"])));
        assert_eq!(election.machine.hash(), hash);
        assert_eq!(election.events(), []);
    }

    #[test]
    fn a_candidate_belongs_to_one_session() {
        let mut election = Election::with(&["a", "b"]);
        assert_eq!(election.by(3).enter("a"), Err(ErrorCode::AlreadyExists));
        assert_eq!(election.by(3).enter("b"), Err(ErrorCode::AlreadyExists));
    }

    #[test]
    fn it_needs_a_session_and_room_in_the_queue() {
        let mut election = Election::new();
        assert_eq!(election.by(0).enter("a"), Err(ErrorCode::Invalid));
        election.machine.limits.waiters = 1;
        election.by(1).enter("a").unwrap();
        election.by(2).enter("b").unwrap();
        assert_eq!(election.by(3).enter("c"), Err(ErrorCode::ResourceExhausted));
        assert_eq!(election.by(2).enter("b"), Ok(term(1, "a", &["b"])));
    }
}
