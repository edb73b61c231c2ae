//! When sessions expire: the leader's own deadlines, which are not replicated.
//!
//! The clock of these deadlines stands still while the process is paused, so that a leader that wakes up does not
//! expire everybody whose keep-alives wait in its sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_types::{Monotonic, SessionId};

/// More than this between two calls means that the process did not run.
const PAUSE: Duration = Duration::from_secs(1);

/// A clock that stands still while the process does.
#[derive(Debug, Default)]
pub(crate) struct ActiveClock {
    last: Option<Monotonic>,
    active: Duration,
}

impl ActiveClock {
    /// Moves on to `now`.
    pub(crate) fn advance(&mut self, now: Monotonic) {
        let passed = self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.active += passed.min(PAUSE);
        self.last = Some(now);
    }

    /// How long the process has been running.
    pub(crate) const fn now(&self) -> Duration {
        self.active
    }
}

/// What came of a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The session has its full timeout again.
    Renewed,
    /// Its end is proposed. Whether it is committed, nobody knows yet.
    Closing,
    /// It is over, or never was.
    Gone,
}

/// The deadlines of all open sessions, by the [`ActiveClock`].
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    deadlines: BTreeMap<SessionId, (Duration, Duration)>,
    order: BTreeSet<(Duration, SessionId)>,
    /// Proposed to be closed: too late for a keep-alive.
    closing: BTreeSet<SessionId>,
}

impl Expiry {
    /// A session gets its full timeout from now on.
    pub(crate) fn grant(&mut self, session: SessionId, timeout: Duration, now: Duration) {
        self.remove(session);
        self.deadlines.insert(session, (now + timeout, timeout));
        self.order.insert((now + timeout, session));
    }

    /// Extends a session to its full timeout from now, if it is open.
    pub(crate) fn renew(&mut self, session: SessionId, now: Duration) -> Renewal {
        match self.deadlines.get(&session) {
            None => Renewal::Gone,
            Some(_) if self.closing.contains(&session) => Renewal::Closing,
            Some((_, timeout)) => {
                self.grant(session, *timeout, now);
                Renewal::Renewed
            }
        }
    }

    /// The end of a session could not be proposed: it is due again at `at`. It stays too late for a keep-alive.
    pub(crate) fn retry(&mut self, session: SessionId, at: Duration) {
        if let Some((deadline, _)) = self.deadlines.get_mut(&session) {
            self.order.remove(&(*deadline, session));
            *deadline = at;
            self.order.insert((at, session));
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(&mut self, session: SessionId) {
        if let Some((deadline, _)) = self.deadlines.remove(&session) {
            self.order.remove(&(deadline, session));
        }
        self.closing.remove(&session);
    }

    /// Takes up to `max` sessions whose time is over. Each is handed out once.
    pub(crate) fn take_due(&mut self, now: Duration, max: usize) -> Vec<SessionId> {
        let due: Vec<_> =
            self.order.iter().take_while(|(deadline, _)| *deadline <= now).take(max).copied().collect();
        for entry in &due {
            self.order.remove(entry);
            self.closing.insert(entry.1);
        }
        due.into_iter().map(|(_, session)| session).collect()
    }

    /// When the next session expires.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.order.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SESSION: SessionId = SessionId(7);

    #[test]
    fn a_pause_does_not_count() {
        let mut clock = ActiveClock::default();
        let start = Monotonic::from_nanos(5);
        clock.advance(start);
        clock.advance(start + SECOND / 2);
        clock.advance(start + SECOND * 60);
        assert_eq!(clock.now(), SECOND / 2 + PAUSE);
    }

    #[test]
    fn a_session_expires_once_and_not_early() {
        let mut expiry = Expiry::default();
        expiry.grant(SESSION, SECOND, SECOND);
        assert!(expiry.take_due(SECOND * 2 - Duration::from_nanos(1), 10).is_empty());
        assert_eq!(expiry.renew(SESSION, SECOND * 2), Renewal::Renewed);
        assert!(expiry.take_due(SECOND * 2, 10).is_empty());
        assert_eq!(expiry.take_due(SECOND * 3, 10), [SESSION]);
        assert!(expiry.take_due(SECOND * 9, 10).is_empty());
        assert_eq!(expiry.renew(SESSION, SECOND * 3), Renewal::Closing);
        expiry.retry(SESSION, SECOND * 4);
        assert_eq!(expiry.renew(SESSION, SECOND * 4), Renewal::Closing);
        assert_eq!(expiry.take_due(SECOND * 4, 10), [SESSION], "what was refused is proposed again");
        expiry.remove(SESSION);
        assert_eq!(expiry.renew(SESSION, SECOND * 3), Renewal::Gone);
    }
}
