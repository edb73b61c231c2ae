//! What is committed stays committed and is the same everywhere: no two members ever take different entries at one
//! index for committed (state machine safety, Raft §5.4.3, figure 3).

use synod_protocol::Entry;
use synod_types::MemberId;

use super::super::ledger::Ledger;
use super::{Check, Violation};

/// A member takes an entry for committed that is in the ledger already.
pub(in crate::sim) fn check(member: MemberId, entry: &Entry, ledger: &Ledger) -> Check {
    match ledger.get(entry.index) {
        Some(committed) if committed == entry => Ok(()),
        committed => {
            let what = format!(
                "member {member} takes entry {} of term {} for committed, others one of term {:?}",
                entry.index,
                entry.term,
                committed.map(|entry| entry.term)
            );
            Err(Violation::new("committed entries", what))
        }
    }
}
