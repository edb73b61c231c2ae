//! What is on its way to a replica, under which sequence, and what becomes of it: without any I/O.
//!
//! ```text
//!   submit ─▶ queued ──next_frame──▶ in flight ──receive──▶ answered
//!               ▲                       │
//!               ├── try again later ◀───┤  overloaded, no quorum
//!               └── at once, in order ◀─┘  another leads, connection lost
//! ```
//!
//! Invariants:
//! - A write keeps its (session, sequence) for as long as it may have been executed under it: so it is executed at most
//!   once however often it is sent.
//! - What the server is told to be acknowledged is the greatest sequence up to which no write waits for an answer. A
//!   write that was **given up**, because its time was over or nobody waits for it any more, does not hold this back:
//!   it is never sent again, and once a later write has been executed that was sent when no earlier one waited, the
//!   server refuses a copy that is still on its way. So a write that timed out has happened by then, or never will.
//! - When a session is over, a write that may have been executed under it fails as ambiguous; one that certainly was not
//!   goes on under the next session.
//! - Queues are bounded, and so is what is in flight: unanswered requests on the stream, and sequences ahead of the
//!   acknowledged one.
//!
//! What must not go here: connections, tasks, clocks. The driver is in [`link`](super::link).

mod replies;
mod request;
mod sending;
mod session;
mod watches;

#[cfg(test)]
mod tests;

pub(crate) use request::{Answer, Request, RequestId, Under, Work};
pub(crate) use watches::{WatchItem, WatchRequest};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use synod_proto::types::v1::LeaderHint;
use synod_types::{ErrorCode, Monotonic};
use tokio::sync::oneshot;

use self::session::Session;
use self::watches::Watches;
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::tenure::Tenure;

/// The most requests that wait, in flight or not. More are refused.
const PENDING_MAX: usize = 100_000;
/// The greatest command or query that is sent at all: a greater one would break the stream for everybody on it.
const REQUEST_BYTES_MAX: usize = 6 << 20;

type Tag = u64;

/// How a pipeline behaves.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a session outlives its last keep-alive.
    pub(crate) session_timeout: Duration,
    /// How long a server that owes an answer may say nothing before another one is tried.
    pub(crate) stall_timeout: Duration,
    /// What the program is called, for people who look at the server.
    pub(crate) client_name: String,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Pending {
    work: Work,
    deadline: Option<Monotonic>,
    answer: Option<oneshot::Sender<Result<Answer>>>,
    /// Under what a write was sent first.
    ticket: Option<Ticket>,
    in_flight: bool,
    /// A write may have been executed: it was sent under its ticket, and nobody said that it was refused.
    uncertain: bool,
    tries: u32,
    /// Why it was not done yet.
    problem: Option<Error>,
}

impl Pending {
    fn may_have_happened(&self) -> bool {
        matches!(self.work, Work::Write { .. }) && (self.uncertain || self.in_flight)
    }
}

#[derive(Debug)]
struct Ticket {
    tenure: Arc<Tenure>,
    sequence: u64,
}

/// What a tag on the stream stands for. A request that was given up leaves its tag until the answer comes.
#[derive(Debug, PartialEq)]
enum InFlight {
    Request(RequestId),
    Watch(RequestId),
    CancelWatch,
    Open { sent_at: Monotonic },
    KeepAlive { sent_at: Monotonic },
    Close,
}

/// The requests of one client to one partition.
#[derive(Debug)]
pub(crate) struct Pipeline {
    settings: Settings,
    /// The greatest index seen in an answer or event of the partition, on any stream.
    seen: Arc<AtomicU64>,
    backoff: Backoff,
    session: Session,
    pending: HashMap<RequestId, Pending>,
    writes: VecDeque<RequestId>,
    reads: VecDeque<RequestId>,
    /// What waits before it is tried again.
    later: BTreeSet<(Monotonic, RequestId)>,
    deadlines: BTreeSet<(Monotonic, RequestId)>,
    watches: Watches,
    in_flight: HashMap<Tag, InFlight>,
    last_tag: Tag,
    connected: bool,
    /// Since when the server owes an answer and has said nothing.
    silent_since: Option<Monotonic>,
    redirect: Option<Redirect>,
    /// The last thing that went wrong with the link as a whole.
    problem: Option<Error>,
    is_closing: bool,
}

/// A replica said that another one leads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Redirect {
    /// Which one, if it knows.
    pub(crate) leader: Option<LeaderHint>,
}

impl Pipeline {
    pub(crate) fn new(settings: Settings, seen: Arc<AtomicU64>, seed: u64) -> Self {
        Self {
            settings,
            seen,
            backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(500), seed),
            session: Session::default(),
            pending: HashMap::new(),
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            later: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            watches: Watches::default(),
            in_flight: HashMap::new(),
            last_tag: 0,
            connected: false,
            silent_since: None,
            redirect: None,
            problem: None,
            is_closing: false,
        }
    }

    /// Takes a request.
    pub(crate) fn submit(&mut self, request: Request) {
        let Request { id, mut work, deadline, answer } = request;
        if let Err(error) = self.admit(&mut work) {
            return respond(answer, Err(error));
        }
        let queue = if matches!(work, Work::Write { .. }) { &mut self.writes } else { &mut self.reads };
        queue.push_back(id);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        let pending = Pending {
            work,
            deadline,
            answer,
            ticket: None,
            in_flight: false,
            uncertain: false,
            tries: 0,
            problem: None,
        };
        self.pending.insert(id, pending);
    }

    fn admit(&self, work: &mut Work) -> Result<()> {
        if self.is_closing {
            return Err(Error::closed());
        }
        if self.pending.len() >= PENDING_MAX {
            let message = format!("{PENDING_MAX} requests to this partition wait already");
            return Err(Error::new(ErrorCode::ResourceExhausted, message));
        }
        let (Work::Write { command: payload, .. } | Work::Read { query: payload, .. }) = work;
        if payload.len() > REQUEST_BYTES_MAX {
            let message = format!("the request has {} bytes: use at most {REQUEST_BYTES_MAX}", payload.len());
            return Err(Error::new(ErrorCode::Invalid, message));
        }
        let Work::Write { under, .. } = work else { return Ok(()) };
        let current = self.session.open().map(|open| open.tenure.session());
        match (*under, current) {
            (Under::Any, _) => Ok(()),
            (Under::Only(session), Some(current)) if session == current => Ok(()),
            (Under::Current, Some(current)) => {
                *under = Under::Only(current);
                Ok(())
            }
            (Under::Only(_) | Under::Current, _) => Err(session_over()),
        }
    }

    /// Nobody waits for a request any more.
    pub(crate) fn abandon(&mut self, id: RequestId) {
        self.finish(id, Err(Error::new(ErrorCode::Cancelled, "nobody waits for it")));
    }

    /// A stream to a replica is open, and nothing was sent on it yet.
    pub(crate) fn connected(&mut self, now: Monotonic) {
        self.connected = true;
        self.redirect = None;
        self.silent_since = None;
        self.session.keep_alive_now(now);
    }

    /// The stream is gone, or there was none. What was in flight is sent again, in the same order.
    pub(crate) fn disconnected(&mut self, problem: Option<Error>) {
        self.connected = false;
        self.silent_since = None;
        self.problem = problem.or(self.problem.take());
        self.watches.disconnected();
        self.session.disconnected();
        let mut again: Vec<_> = self
            .in_flight
            .drain()
            .filter_map(|(_, what)| match what {
                InFlight::Request(id) => Some(id),
                _ => None,
            })
            .collect();
        again.sort_unstable_by_key(|id| {
            let ticket = self.pending.get(id).and_then(|pending| pending.ticket.as_ref());
            std::cmp::Reverse((ticket.map(|ticket| ticket.sequence), *id))
        });
        for id in again {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            pending.in_flight = false;
            match pending.work {
                Work::Write { .. } => {
                    pending.uncertain = true;
                    self.writes.push_front(id);
                    self.fail_if_session_over(id);
                }
                Work::Read { .. } => self.reads.push_front(id),
            }
        }
    }

    /// Where to go instead, if a replica has said so since the stream was opened.
    pub(crate) const fn redirect(&mut self) -> Option<Redirect> {
        self.redirect.take()
    }

    /// Whether the server owes an answer and has been silent for too long.
    pub(crate) fn is_stalled(&self, now: Monotonic) -> bool {
        self.stalls_at().is_some_and(|at| at <= now)
    }

    fn stalls_at(&self) -> Option<Monotonic> {
        self.silent_since.map(|since| since + self.settings.stall_timeout)
    }

    /// Whether there is anything for which a stream is needed.
    pub(crate) fn needs_connection(&self) -> bool {
        !self.pending.is_empty() || !self.watches.is_empty() || self.session.open().is_some()
    }

    /// Takes nothing more. What waits is still done, then the session is closed.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether everything is done after [`Pipeline::close`].
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closing && self.pending.is_empty() && matches!(self.session, Session::None { .. })
    }

    /// Answers everybody who still waits: nothing will be done any more.
    pub(crate) fn give_up(&mut self) {
        for id in self.pending.keys().copied().collect::<Vec<_>>() {
            let may_have_happened = self.pending.get(&id).is_some_and(Pending::may_have_happened);
            let error = Error::closed();
            self.finish(id, Err(if may_have_happened { error.into_ambiguous() } else { error }));
        }
    }

    /// Does what is due: gives up what has waited long enough, and queues what is to be tried again. To be called before
    /// [`Pipeline::wants_to_send`].
    pub(crate) fn tick(&mut self, now: Monotonic) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            self.time_out(id);
        }
        while let Some((at, id)) = self.later.first().copied()
            && at <= now
        {
            self.later.pop_first();
            self.requeue(id);
        }
        // What was given up must not look like something to do.
        while self.writes.front().is_some_and(|id| !self.pending.contains_key(id)) {
            self.writes.pop_front();
        }
        while self.reads.front().is_some_and(|id| !self.pending.contains_key(id)) {
            self.reads.pop_front();
        }
    }

    /// When [`Pipeline::tick`], [`Pipeline::is_stalled`] or [`Pipeline::next_frame`] may have something to do that they
    /// do not have now.
    pub(crate) fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let first = |set: &BTreeSet<(Monotonic, RequestId)>| set.first().map(|(at, _)| *at);
        // What the session wants now waits for room on the stream, not for time.
        let session = self.session.deadline(!self.writes.is_empty());
        let session = session.filter(|at| self.connected && *at > now);
        [first(&self.deadlines), first(&self.later), session, self.stalls_at()].into_iter().flatten().min()
    }

    fn time_out(&mut self, id: RequestId) {
        let Some(pending) = self.pending.get(&id) else { return };
        let problem = pending.problem.as_ref().or(self.problem.as_ref());
        let because = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
        let error = if pending.may_have_happened() {
            let message = format!("no answer in time, the write may have happened{because}");
            Error::ambiguous(ErrorCode::Timeout, message)
        } else {
            let code = match problem.map(Error::code) {
                Some(ErrorCode::ResourceExhausted) => ErrorCode::ResourceExhausted,
                _ => ErrorCode::Timeout,
            };
            Error::new(code, format!("no answer in time, nothing was done{because}"))
        };
        self.finish(id, Err(error));
    }

    fn requeue(&mut self, id: RequestId) {
        match self.pending.get(&id).map(|pending| &pending.work) {
            Some(Work::Write { .. }) => self.writes.push_back(id),
            Some(Work::Read { .. }) => self.reads.push_back(id),
            None => {}
        }
    }

    /// Ends a request. Its sequence, if it has one, is never sent again.
    fn finish(&mut self, id: RequestId, outcome: Result<Answer>) {
        let Some(pending) = self.pending.remove(&id) else { return };
        if let Some(deadline) = pending.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(ticket) = &pending.ticket
            && let Some(open) = self.session.open_mut()
            && open.tenure.session() == ticket.tenure.session()
        {
            open.settle(ticket.sequence);
        }
        respond(pending.answer, outcome);
    }
}

fn session_over() -> Error {
    Error::new(ErrorCode::SessionNotFound, "the session is closed or expired")
}

fn respond(answer: Option<oneshot::Sender<Result<Answer>>>, outcome: Result<Answer>) {
    if let Some(answer) = answer {
        // Whoever asked may have stopped waiting at this moment.
        let _ = answer.send(outcome);
    }
}
