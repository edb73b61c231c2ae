//! Nothing ends before its time: a session not before its timeout has passed since the last keep-alive that was
//! answered, and log time, by which leases and TTLs end, runs no faster than the clock of a leader (C6.1, C6.4, C6.6;
//! F11 in the list of faults).

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use synod_proto::log::v1::Batch;
use synod_proto::log::v1::proposal::Body;
use synod_protocol::{Entry, EntryKind};
use synod_types::{LogIndex, LogTime, Monotonic, SessionId, Term};

use super::super::ledger::Committed;
use super::{Check, Violation};
use crate::oracle::ClockBound;

/// What keeps things alive, and when.
#[derive(Debug)]
pub(in crate::sim) struct Timers {
    clock: ClockBound,
    /// When each session was last refreshed for certain, and for how long: the moment at which the request was sent.
    refreshed: BTreeMap<SessionId, (Monotonic, Duration)>,
    /// When each entry was first written, and its time.
    stamped: BTreeMap<(LogIndex, Term), (Monotonic, LogTime)>,
}

impl Timers {
    pub(in crate::sim) const fn new(clock: ClockBound) -> Self {
        Self { clock, refreshed: BTreeMap::new(), stamped: BTreeMap::new() }
    }

    /// A client was answered that its session lives on; it had asked at `sent_at`.
    pub(in crate::sim) fn refreshed(&mut self, session: SessionId, sent_at: Monotonic, timeout: Duration) {
        let refreshed = self.refreshed.entry(session).or_insert((sent_at, timeout));
        refreshed.0 = refreshed.0.max(sent_at);
    }

    /// An entry is written for the first time, behind the one of this index and term.
    pub(in crate::sim) fn check_stamp(
        &mut self,
        now: Monotonic,
        entry: &Entry,
        before: Option<(LogIndex, Term)>,
    ) -> Check {
        let key = (entry.index, entry.term);
        if self.stamped.contains_key(&key) {
            return Ok(());
        }
        let earlier = before.and_then(|before| self.stamped.get(&before).copied());
        let has_time = entry.kind == EntryKind::Normal && !entry.data.is_empty();
        let batch = if has_time { Batch::decode(entry.data.clone()).ok() } else { None };
        // An entry without a time leaves time where it was.
        let stamp = batch.map(|batch| (now, LogTime(batch.time_ms))).or(earlier);
        let Some((_, time)) = stamp else { return Ok(()) };
        self.stamped.extend(stamp.map(|stamp| (key, stamp)));
        let Some((then, stamp)) = earlier else { return Ok(()) };
        let passed = Duration::from_millis(time.get().saturating_sub(stamp.get()));
        if self.clock.earliest_end(then, passed) <= now {
            return Ok(());
        }
        let what = format!(
            "log time went on by {passed:?} from entry {before:?} to entry {}, in {:?}",
            entry.index,
            now.since(then)
        );
        Err(Violation::new("timers are never early", what))
    }

    /// An entry is committed: the sessions that it ends because they expired had to have expired.
    pub(in crate::sim) fn check(&self, committed: &Committed<'_>) -> Check {
        for proposal in committed.proposals {
            let expired = matches!(&proposal.body, Some(Body::CloseSession(close)) if close.expired);
            let session = SessionId(proposal.session_id);
            let Some((sent_at, timeout)) = self.refreshed.get(&session).filter(|_| expired) else { continue };
            let earliest = self.clock.earliest_end(*sent_at, *timeout);
            if committed.at < earliest {
                let what = format!(
                    "session {session} expired at {:?}; it was to last until {earliest:?}",
                    committed.at
                );
                return Err(Violation::new("timers are never early", what));
            }
        }
        Ok(())
    }
}
