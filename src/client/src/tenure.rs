//! How sure a client can be that its session lives.
//!
//! The server ends a session no earlier than one timeout after the last keep-alive that it answered. The client counts
//! from the moment at which it *sent* that keep-alive, which is earlier, and stops believing after nine tenths of the
//! timeout: so it gives up what it holds before the server can give it to somebody else, as long as the two clocks run
//! equally fast within ten percent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use synod_types::{Monotonic, SessionId};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::hold::Span;

/// The life of one session, as far as the client knows.
#[derive(Debug)]
pub(crate) struct Tenure {
    session: SessionId,
    timeout: Duration,
    /// When the last confirmed keep-alive was sent, in nanoseconds of the monotonic clock.
    confirmed: AtomicU64,
    ended: AtomicBool,
    changed: Notify,
}

impl Tenure {
    /// A session that was opened by a request sent at `sent_at`.
    pub(crate) fn new(session: SessionId, timeout: Duration, sent_at: Monotonic) -> Self {
        let confirmed = AtomicU64::new(sent_at.as_nanos());
        Self { session, timeout, confirmed, ended: AtomicBool::new(false), changed: Notify::new() }
    }

    /// Which session.
    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// The server has confirmed that the session lived after `sent_at`.
    pub(crate) fn confirm(&self, sent_at: Monotonic) {
        self.confirmed.fetch_max(sent_at.as_nanos(), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The server has said that the session is over.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the server has said that the session is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// For how long the session is known to live.
    pub(crate) fn span(&self) -> Span {
        let confirmed = Monotonic::from_nanos(self.confirmed.load(Ordering::Acquire));
        Span::new(confirmed + self.timeout, self.timeout)
    }

    /// Resolves at the next confirmation or end. Ask before looking.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
