//! The session of a pipeline: opened by the first write, kept alive, replaced when it is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use synod_proto::session::v1 as wire;
use synod_proto::session::v1::request::Body;
use synod_types::{Monotonic, SessionId};

use super::{InFlight, Settings, Ticket};
use crate::clock::millis;
use crate::tenure::Tenure;

/// How far sequences may be ahead of the acknowledged one: less than what the server keeps results for by default.
const AHEAD_MAX: u64 = 8_000;

/// Where the session stands.
#[derive(Debug)]
pub(super) enum Session {
    /// There is none. If one is wanted, it is not asked for before this.
    None { retry_at: Monotonic },
    /// One was asked for.
    Opening,
    /// There is one, as far as anybody has said.
    Open(Open),
}

impl Default for Session {
    fn default() -> Self {
        Self::None { retry_at: Monotonic::default() }
    }
}

/// An open session.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) tenure: Arc<Tenure>,
    last_sequence: u64,
    unanswered: BTreeSet<u64>,
    keep_alive_due: Monotonic,
    keep_alive_in_flight: bool,
    close_in_flight: bool,
}

impl Open {
    pub(super) fn new(session: SessionId, sent_at: Monotonic, settings: &Settings) -> Self {
        Self {
            tenure: Arc::new(Tenure::new(session, settings.session_timeout, sent_at)),
            last_sequence: 0,
            unanswered: BTreeSet::new(),
            keep_alive_due: sent_at + interval(settings.session_timeout),
            keep_alive_in_flight: false,
            close_in_flight: false,
        }
    }

    /// The next sequence.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.last_sequence += 1;
        self.unanswered.insert(self.last_sequence);
        Ticket { tenure: self.tenure.clone(), sequence: self.last_sequence }
    }

    /// A sequence is answered or given up: it will not be sent again.
    pub(super) fn settle(&mut self, sequence: u64) {
        self.unanswered.remove(&sequence);
    }

    /// Everything up to here is settled.
    pub(super) fn floor(&self) -> u64 {
        self.unanswered.first().map_or(self.last_sequence, |first| first - 1)
    }

    /// Whether another sequence may be used.
    pub(super) fn has_room(&self) -> bool {
        self.last_sequence - self.floor() < AHEAD_MAX
    }

    /// A keep-alive that was sent at `sent_at` was answered.
    pub(super) fn kept_alive(&mut self, sent_at: Monotonic) {
        self.keep_alive_in_flight = false;
        self.tenure.confirm(sent_at);
    }

    /// A keep-alive was answered with something that says nothing about the session.
    pub(super) const fn not_kept_alive(&mut self, try_again_at: Monotonic) {
        self.keep_alive_in_flight = false;
        self.keep_alive_due = try_again_at;
    }
}

/// How often a session with this timeout is kept alive.
fn interval(timeout: Duration) -> Duration {
    timeout / 4
}

impl Session {
    pub(super) const fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) const fn open_mut(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) => Some(open),
            _ => None,
        }
    }

    /// The stream is gone: what was asked on it was perhaps not heard.
    pub(super) fn disconnected(&mut self) {
        match self {
            Self::None { .. } => {}
            // If it was opened, nobody knows its id, and it expires.
            Self::Opening => *self = Self::default(),
            Self::Open(open) => {
                open.keep_alive_in_flight = false;
                open.close_in_flight = false;
            }
        }
    }

    /// A new stream: whether the session lives is worth knowing at once.
    pub(super) const fn keep_alive_now(&mut self, now: Monotonic) {
        if let Self::Open(open) = self {
            open.keep_alive_due = now;
        }
    }

    /// When there will be a request to send.
    pub(super) fn deadline(&self, is_wanted: bool) -> Option<Monotonic> {
        match self {
            Self::None { retry_at } => is_wanted.then_some(*retry_at),
            Self::Open(open) if !open.keep_alive_in_flight => Some(open.keep_alive_due),
            _ => None,
        }
    }

    /// Whether there is a request to send now.
    pub(super) fn has_request(&self, now: Monotonic, is_wanted: bool, is_to_end: bool) -> bool {
        let is_due = self.deadline(is_wanted).is_some_and(|at| at <= now);
        is_due || is_to_end && self.open().is_some_and(|open| !open.close_in_flight)
    }

    /// The next request about the session itself.
    pub(super) fn next_request(
        &mut self,
        now: Monotonic,
        is_wanted: bool,
        is_to_end: bool,
        settings: &Settings,
    ) -> Option<(Body, InFlight)> {
        if !self.has_request(now, is_wanted, is_to_end) {
            return None;
        }
        match self {
            Self::None { .. } => {
                *self = Self::Opening;
                let timeout_ms = millis(settings.session_timeout);
                let open = wire::Open { timeout_ms, client: settings.client_name.clone() };
                Some((Body::Open(open), InFlight::Open { sent_at: now }))
            }
            Self::Opening => None,
            Self::Open(open) => {
                let session_id = open.tenure.session().get();
                if is_to_end {
                    open.close_in_flight = true;
                    open.keep_alive_in_flight = true;
                    return Some((Body::Close(wire::Close { session_id }), InFlight::Close));
                }
                open.keep_alive_in_flight = true;
                open.keep_alive_due = now + interval(settings.session_timeout);
                let keep_alive = wire::KeepAlive { session_id };
                Some((Body::KeepAlive(keep_alive), InFlight::KeepAlive { sent_at: now }))
            }
        }
    }
}
