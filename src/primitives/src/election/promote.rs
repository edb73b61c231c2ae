//! `election promote`: moves a candidate one place up; the first in the queue changes places with the leader.

use synod_proto::election::v1::{PromoteRequest, PromoteResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for PromoteRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = PromoteResponse;

    /// Does nothing for the leader and for one who is not in the election.
    fn apply(self, context: &mut Context<'_>) -> Outcome<PromoteResponse> {
        super::check_candidate(&self.candidate)?;
        let term = super::change(context, |_, election| {
            election.promote(&self.candidate);
            Ok(())
        })?;
        Ok(PromoteResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};

    #[test]
    fn it_moves_one_place_up_and_the_first_changes_places_with_the_leader() {
        let mut election = Election::with(&["a", "b", "c"]);
        assert_eq!(election.promote("c"), Ok(term(1, "a", &["c", "b"])));
        assert_eq!(election.promote("c"), Ok(term(2, "c", &["a", "b"])));
        assert_eq!(election.promote("c"), Ok(term(2, "c", &["a", "b"])));
        assert_eq!(election.promote("x"), Ok(term(2, "c", &["a", "b"])));
        assert_eq!(election.events().len(), 2);
    }
}
