//! `election evict`: takes any candidate out, whoever entered it.

use std::collections::BTreeSet;

use synod_proto::election::v1::{EvictRequest, EvictResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for EvictRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = EvictResponse;

    /// Does nothing for one who is not in the election.
    fn apply(self, context: &mut Context<'_>) -> Outcome<EvictResponse> {
        super::check_candidate(&self.candidate)?;
        let term = super::change(context, |context, election| {
            if let Some(found) = election.find(&self.candidate) {
                context.disown(found.session(), self.candidate.as_bytes())?;
                election.remove(&BTreeSet::from([self.candidate]));
            }
            Ok(())
        })?;
        Ok(EvictResponse { term: Some(term) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Election, term};

    #[test]
    fn anybody_may_take_anybody_out() {
        let mut election = Election::with(&["a", "b", "c"]);
        assert_eq!(election.by(0).evict("b"), Ok(term(1, "a", &["c"])));
        assert_eq!(election.by(0).evict("a"), Ok(term(2, "c", &[])));
        assert_eq!(election.by(0).evict("x"), Ok(term(2, "c", &[])));
        assert_eq!(election.events(), [term(1, "a", &["c"]), term(2, "c", &[])]);
    }
}
