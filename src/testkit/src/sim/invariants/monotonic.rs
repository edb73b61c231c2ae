//! Term, commit index and applied index of a process never go back (Raft §5.1 and figure 2), nor does log time (C6); each
//! index is no further than the one before it allows: applied ≤ commit ≤ the end of the log.

use synod_types::{LogIndex, LogTime, MemberId, Term};

use super::{Check, Violation};

/// How far a process has come.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sim) struct Progress {
    pub(in crate::sim) term: Term,
    pub(in crate::sim) commit: LogIndex,
    pub(in crate::sim) applied: LogIndex,
    pub(in crate::sim) last: LogIndex,
    /// Of the last entry that was applied.
    pub(in crate::sim) time: LogTime,
}

impl Progress {
    /// The process has come to `now`.
    pub(in crate::sim) fn advance(&mut self, member: MemberId, now: Self) -> Check {
        let went_back = now.term < self.term
            || now.commit < self.commit
            || now.applied < self.applied
            || now.time < self.time;
        let runs_ahead = now.applied > now.commit || now.commit > now.last;
        if went_back || runs_ahead {
            let what = format!("member {member} went from {self:?} to {now:?}");
            return Err(Violation::new("monotonic progress", what));
        }
        *self = now;
        Ok(())
    }
}
