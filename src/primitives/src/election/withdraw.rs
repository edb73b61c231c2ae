//! `election withdraw`: takes a candidate of the caller's session out.

use std::collections::BTreeSet;

use synod_proto::election::v1::{WithdrawRequest, WithdrawResponse};
use synod_types::{ErrorCode, PrimitiveKind};

use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for WithdrawRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = WithdrawResponse;

    /// Does nothing for one who is not in the election. Rejects with `Forbidden` a candidate of another session.
    fn apply(self, context: &mut Context<'_>) -> Outcome<WithdrawResponse> {
        super::check_candidate(&self.candidate)?;
        let term = super::change(context, |context, election| {
            let Some(found) = election.find(&self.candidate) else {
                return Ok(());
            };
            let session = found.session();
            if session != context.environment.session {
                let message = "another session entered this candidate: evict it instead";
                return Err(Failure::rejected(ErrorCode::Forbidden, message));
            }
            context.disown(session, self.candidate.as_bytes())?;
            election.remove(&BTreeSet::from([self.candidate]));
            Ok(())
        })?;
        Ok(WithdrawResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};
    use super::*;

    #[test]
    fn bug_withdraw_of_a_waiting_candidate_takes_it_out() {
        let mut election = Election::with(&["a", "b", "c"]);
        assert_eq!(election.by(2).withdraw("b"), Ok(term(1, "a", &["c"])));
        assert_eq!(election.events(), [term(1, "a", &["c"])]);
    }

    #[test]
    fn after_the_leader_the_next_leads_and_after_the_last_nobody_in_the_same_term() {
        let mut election = Election::with(&["a", "b"]);
        assert_eq!(election.by(1).withdraw("a"), Ok(term(2, "b", &[])));
        assert_eq!(election.by(2).withdraw("b"), Ok(term(2, "", &[])));
        assert_eq!(election.events(), [term(2, "b", &[]), term(2, "", &[])]);
        assert_eq!(election.by(2).withdraw("b"), Ok(term(2, "", &[])));
        assert_eq!(election.events(), []);
    }

    #[test]
    fn it_is_for_the_candidates_of_the_session() {
        let mut election = Election::with(&["a", "b"]);
        assert_eq!(election.by(2).withdraw("a"), Err(ErrorCode::Forbidden));
        assert_eq!(election.by(0).withdraw("b"), Err(ErrorCode::Forbidden));
    }
}
