//! Election safety: at most one leader can be elected in a given term (Raft §5.2, figure 3).

use std::collections::BTreeMap;

use synod_protocol::{Role, Standing};
use synod_types::{MemberId, Term};

use super::{Check, Violation};

/// Who led in which term.
#[derive(Debug, Default)]
pub(in crate::sim) struct ElectionSafety {
    leaders: BTreeMap<Term, MemberId>,
}

impl ElectionSafety {
    pub(in crate::sim) fn check(&mut self, member: MemberId, standing: Standing) -> Check {
        if standing.role != Role::Leader {
            return Ok(());
        }
        let first = *self.leaders.entry(standing.term).or_insert(member);
        if first == member {
            return Ok(());
        }
        let what = format!("members {first} and {member} both led in term {}", standing.term);
        Err(Violation::new("election safety", what))
    }
}
