//! Leader completeness: if a log entry is committed in a given term, then it is present in the logs of the leaders of
//! all higher terms (Raft §5.4.3, figure 3).

use std::collections::BTreeSet;

use synod_protocol::{Role, Standing};
use synod_types::{MemberId, Term};

use super::super::ledger::Ledger;
use super::super::shadow::ShadowLog;
use super::{Check, Violation};

/// The leaders that were checked.
#[derive(Debug, Default)]
pub(in crate::sim) struct LeaderCompleteness {
    checked: BTreeSet<Term>,
}

impl LeaderCompleteness {
    /// Because logs match, a log that holds the last committed entry holds them all.
    pub(in crate::sim) fn check(
        &mut self,
        member: MemberId,
        standing: Standing,
        log: &ShadowLog,
        ledger: &Ledger,
    ) -> Check {
        if standing.role != Role::Leader || !self.checked.insert(standing.term) {
            return Ok(());
        }
        let Some(last) = ledger.get(ledger.last()) else { return Ok(()) };
        if last.term > standing.term || log.holds(last.index, last.term) {
            return Ok(());
        }
        let what = format!(
            "member {member} leads in term {} without the committed entry {} of term {}; its log ends with {:?}",
            standing.term,
            last.index,
            last.term,
            log.last()
        );
        Err(Violation::new("leader completeness", what))
    }
}
