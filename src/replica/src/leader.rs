//! What a leader does on its own account: it keeps the clock of the log, expires sessions, fires timers, and turns
//! queued writes into entries.

use std::time::Duration;

use synod_proto::log::v1::proposal::Body;
use synod_proto::log::v1::{CloseSession, Proposal};
use synod_protocol::{Refused, Role};
use synod_storage::state::Fault;
use synod_types::{Error, ErrorCode, LogIndex, LogTime, Monotonic, SessionId, Term};

use crate::expiry::Expiry;
use crate::proposals::Waiter;
use crate::replica::Replica;

/// How long a leader waits before it proposes again what was refused, because leadership is being handed over.
const REFUSED_WAIT: Duration = Duration::from_millis(20);

/// The most sessions that are expired in one go, so that a mass expiry does not hold up everybody else.
const EXPIRIES_MAX: usize = 256;

/// The state of a leader that has applied everything that was committed before it.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) term: Term,
    pub(crate) expiry: Expiry,
    /// The last stamp before it took over, and the active clock when it was applied here.
    begun: (LogTime, Duration),
    /// The entry that announces the leader change has been proposed.
    announced: bool,
    /// The last entry proposed for the sake of a timer, until it is applied.
    tick: Option<LogIndex>,
    /// What it proposes on its own account was refused; not before this it tries again.
    not_before: Monotonic,
}

impl Replica {
    /// Takes up leadership once everything that was committed before is applied, and does what is due.
    pub(crate) fn lead(&mut self) -> Result<(), Fault> {
        let standing = self.protocol.standing();
        if standing.role != Role::Leader || !self.protocol.is_settled_leader() {
            return Ok(());
        }
        if self.leading.as_ref().is_none_or(|leading| leading.term != standing.term) {
            // An entry of the own term is committed; it may still wait to be applied.
            if self.machine.applied().term != standing.term {
                return Ok(());
            }
            self.begin_to_lead(standing.term)?;
        }
        self.expire_sessions();
        self.propose();
        Ok(())
    }

    /// Every session gets its full timeout from now on: the last leader may have answered a keep-alive just before.
    fn begin_to_lead(&mut self, term: Term) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut expiry = Expiry::default();
        for (session, timeout_ms) in self.machine.session_timeouts_ms()? {
            expiry.grant(session, Duration::from_millis(timeout_ms), now);
        }
        // What has passed since the last stamp has passed for the group: it was given before it was applied here, so
        // nothing ends early. Counted from now instead, a TTL in a quiet group would have all its time again.
        let begun = self.stamped;
        self.leading =
            Some(Leading { term, expiry, begun, announced: false, tick: None, not_before: self.now });
        Ok(())
    }

    /// Log time as this leader counts it: what its clock has counted since the last stamp before it took over.
    fn log_time(&self, leading: &Leading) -> LogTime {
        let (time, began) = leading.begun;
        let passed = self.clock.now().saturating_sub(began);
        time.plus_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }

    fn expire_sessions(&mut self) {
        let now = self.clock.now();
        let Some(leading) = &mut self.leading else { return };
        for session in leading.expiry.take_due(now, EXPIRIES_MAX) {
            let body = Some(Body::CloseSession(CloseSession { expired: true }));
            let proposal = Proposal { session_id: session.get(), body, ..Proposal::default() };
            self.proposals.push(proposal, Waiter::Expiry(session));
        }
    }

    /// Proposes what is queued; if nothing is, an empty batch when a timer is due or leadership is to be announced.
    fn propose(&mut self) {
        loop {
            let Some(leading) = &self.leading else { return };
            let (announces, time) = (!leading.announced, self.log_time(leading));
            let ticks = leading.tick.is_none() && self.machine.next_deadline().is_some_and(|due| due <= time);
            if !self.may_propose() || (!announces && !ticks && !self.proposals.has_queued()) {
                return;
            }
            let batch_bytes_max = self.options.batch_bytes_max;
            let (batch, waiters) = self.proposals.next_batch(time, announces, batch_bytes_max);
            match self.protocol.propose(batch) {
                Ok(index) => {
                    self.proposals.proposed(index, self.protocol.standing().term, waiters);
                    if let Some(leading) = &mut self.leading {
                        leading.announced = true;
                        leading.tick = leading.tick.or(ticks.then_some(index));
                    }
                }
                Err(refused) => {
                    self.refuse_writes(&waiters, &refused);
                    return;
                }
            }
        }
    }

    fn refuse_writes(&mut self, waiters: &[Waiter], refused: &Refused) {
        self.proposals.refused(waiters);
        if let Some(leading) = &mut self.leading {
            leading.not_before = self.now + REFUSED_WAIT;
            for waiter in waiters {
                if let Waiter::Expiry(session) = waiter {
                    leading.expiry.retry(*session, self.clock.now() + REFUSED_WAIT);
                }
            }
        }
        let error = match refused {
            Refused::NotLeader => self.not_leader(),
            _ => Error::new(
                ErrorCode::Unavailable,
                "leadership is being handed over, or too much is under way",
            ),
        };
        for waiter in waiters {
            self.reply_to_waiter(*waiter, &error);
        }
    }

    /// An entry was applied.
    pub(crate) fn entry_applied(
        &mut self,
        index: LogIndex,
        opened: &[(SessionId, u64)],
        closed: &[SessionId],
    ) {
        let now = self.clock.now();
        let Some(leading) = &mut self.leading else { return };
        leading.tick = leading.tick.filter(|tick| *tick > index);
        for (session, timeout_ms) in opened {
            leading.expiry.grant(*session, Duration::from_millis(*timeout_ms), now);
        }
        for session in closed {
            leading.expiry.remove(*session);
        }
    }

    /// When a leader has something to do of its own.
    pub(crate) fn leader_deadline(&self) -> Option<Monotonic> {
        let leading = self.leading.as_ref()?;
        let active = self.clock.now();
        let expiry = leading.expiry.next().map(|due| due.saturating_sub(active));
        let timers = match leading.tick {
            None if self.may_propose() => self.machine.next_deadline(),
            _ => None,
        };
        let time = self.log_time(leading);
        let timers = timers.map(|due| Duration::from_millis(due.get().saturating_sub(time.get())));
        expiry.into_iter().chain(timers).min().map(|wait| (self.now + wait).max(leading.not_before))
    }
}
