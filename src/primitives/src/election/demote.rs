//! `election demote`: moves a candidate one place down; the leader changes places with the first in the queue.

use synod_proto::election::v1::{DemoteRequest, DemoteResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for DemoteRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = DemoteResponse;

    /// Does nothing for the last one and for one who is not in the election.
    fn apply(self, context: &mut Context<'_>) -> Outcome<DemoteResponse> {
        super::check_candidate(&self.candidate)?;
        let term = super::change(context, |_, election| {
            election.demote(&self.candidate);
            Ok(())
        })?;
        Ok(DemoteResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};

    #[test]
    fn bug_demote_of_the_leader_swaps() {
        let mut election = Election::with(&["a", "b", "c"]);
        assert_eq!(election.demote("a"), Ok(term(2, "b", &["a", "c"])));
        assert_eq!(election.events(), [term(2, "b", &["a", "c"])]);
    }

    #[test]
    fn it_moves_one_place_down_until_the_last() {
        let mut election = Election::with(&["a", "b", "c"]);
        assert_eq!(election.demote("b"), Ok(term(1, "a", &["c", "b"])));
        assert_eq!(election.demote("b"), Ok(term(1, "a", &["c", "b"])));
        assert_eq!(election.demote("x"), Ok(term(1, "a", &["c", "b"])));
    }

    #[test]
    fn a_leader_without_followers_stays() {
        let mut election = Election::with(&["a"]);
        assert_eq!(election.demote("a"), Ok(term(1, "a", &[])));
        assert_eq!(election.events(), []);
    }
}
