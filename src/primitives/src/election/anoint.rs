//! `election anoint`: makes a waiting candidate the leader; the leader before waits at the head of the queue.

use synod_proto::election::v1::{AnointRequest, AnointResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for AnointRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = AnointResponse;

    /// Does nothing for one who leads already or is not in the election.
    fn apply(self, context: &mut Context<'_>) -> Outcome<AnointResponse> {
        super::check_candidate(&self.candidate)?;
        let term = super::change(context, |_, election| {
            election.anoint(&self.candidate);
            Ok(())
        })?;
        Ok(AnointResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};

    #[test]
    fn bug_anoint_promotes_the_named_candidate() {
        for (chosen, after) in [
            ("b", term(2, "b", &["a", "c", "d"])),
            ("c", term(2, "c", &["a", "b", "d"])),
            ("d", term(2, "d", &["a", "b", "c"])),
        ] {
            let mut election = Election::with(&["a", "b", "c", "d"]);
            assert_eq!(election.anoint(chosen), Ok(after.clone()));
            assert_eq!(election.events(), [after]);
        }
    }

    #[test]
    fn the_leader_and_strangers_change_nothing() {
        let mut election = Election::with(&["a", "b"]);
        assert_eq!(election.anoint("a"), Ok(term(1, "a", &["b"])));
        assert_eq!(election.anoint("x"), Ok(term(1, "a", &["b"])));
        assert_eq!(election.events(), []);
    }
}
