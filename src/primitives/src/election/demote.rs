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
    use super::super::tests::{Room, term};

    #[test]
    fn bug_demote_of_the_leader_swaps() {
        let mut room = Room::with(&["a", "b", "c"]);
        assert_eq!(room.demote("a"), Ok(term(2, "b", &["a", "c"])));
        assert_eq!(room.events(), [term(2, "b", &["a", "c"])]);
    }

    #[test]
    fn it_moves_one_place_down_until_the_last() {
        let mut room = Room::with(&["a", "b", "c"]);
        assert_eq!(room.demote("b"), Ok(term(1, "a", &["c", "b"])));
        assert_eq!(room.demote("b"), Ok(term(1, "a", &["c", "b"])));
        assert_eq!(room.demote("x"), Ok(term(1, "a", &["c", "b"])));
    }

    #[test]
    fn a_leader_without_followers_stays() {
        let mut room = Room::with(&["a"]);
        assert_eq!(room.demote("a"), Ok(term(1, "a", &[])));
        assert_eq!(room.events(), []);
    }
}
