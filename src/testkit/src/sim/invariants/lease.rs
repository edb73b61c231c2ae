//! Whoever serves reads without asking the others leads alone: while a lease is valid, nobody has been elected in a
//! later term (raft thesis §6.4.1; F6 in the list of faults).

use std::collections::BTreeMap;

use synod_protocol::{Role, Standing};
use synod_types::{MemberId, Monotonic, Term};

use super::{Check, Violation};

/// Leases, as moments of the simulation.
#[derive(Debug, Default)]
pub(in crate::sim) struct Leases {
    valid_until: BTreeMap<MemberId, (Term, Monotonic)>,
    last_term: Term,
}

impl Leases {
    /// How a member stands, and until when its lease is valid by the time of the simulation.
    pub(in crate::sim) fn check(
        &mut self,
        now: Monotonic,
        member: MemberId,
        standing: Standing,
        until: Option<Monotonic>,
    ) -> Check {
        match until {
            Some(until) => drop(self.valid_until.insert(member, (standing.term, until))),
            None => drop(self.valid_until.remove(&member)),
        }
        if standing.role == Role::Leader {
            self.last_term = self.last_term.max(standing.term);
        }
        let stale = self.valid_until.iter().find(|(_, (term, until))| *term < self.last_term && *until > now);
        let Some((holder, (term, until))) = stale else { return Ok(()) };
        let what = format!(
            "member {holder} has a lease of term {term} until {until:?}, and somebody leads in term {}",
            self.last_term
        );
        Err(Violation::new("leases exclude other leaders", what))
    }

    /// A process has ended, and its lease with it.
    pub(in crate::sim) fn forget(&mut self, member: MemberId) {
        self.valid_until.remove(&member);
    }
}
