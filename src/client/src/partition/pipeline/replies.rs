//! What the server says.

use std::sync::atomic::Ordering;

use synod_proto::session::v1::reply::Body;
use synod_proto::session::v1::{Opened, Reply, ServerFrame};
use synod_proto::types::v1::Error as WireError;
use synod_types::{ErrorCode, Monotonic, Position, SessionId};

use super::session::{Open, Session};
use super::{Answer, InFlight, Pipeline, Redirect, RequestId, Tag, Under, Work, session_over};
use crate::error::Error;

impl Pipeline {
    /// Takes a frame from the server.
    pub(crate) fn receive(&mut self, now: Monotonic, frame: ServerFrame) {
        for reply in frame.replies {
            self.reply(now, reply);
        }
        for delivery in frame.deliveries {
            self.watches.delivered(delivery);
        }
        self.silent_since = (!self.in_flight.is_empty()).then_some(now);
    }

    fn reply(&mut self, now: Monotonic, reply: Reply) {
        let Reply { tag, index, body } = reply;
        self.seen.fetch_max(index, Ordering::AcqRel);
        match self.in_flight.remove(&tag) {
            Some(InFlight::Request(id)) => self.request_answered(now, id, index, body),
            Some(InFlight::Open { sent_at }) => self.open_answered(now, sent_at, body),
            Some(InFlight::KeepAlive { sent_at }) => self.keep_alive_answered(now, sent_at, body),
            // Whether the session was closed now or before makes no difference.
            Some(InFlight::Close) => self.close_answered(body),
            Some(InFlight::CancelWatch) => {}
            // A watch that is lost is answered twice.
            Some(InFlight::Watch(_)) | None => self.watch_answered(tag, body),
        }
    }

    fn request_answered(&mut self, now: Monotonic, id: RequestId, index: u64, body: Option<Body>) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.in_flight = false;
        match body {
            Some(Body::Result(result)) => {
                self.problem = None;
                let tenure = pending.ticket.as_ref().map(|ticket| ticket.tenure.clone());
                self.finish(id, Ok(Answer { result, index, tenure }));
            }
            Some(Body::Error(error)) => self.request_failed(now, id, error),
            _ => self.finish(id, Err(not_understood())),
        }
    }

    fn request_failed(&mut self, now: Monotonic, id: RequestId, error: WireError) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let code = ErrorCode::from_number(error.code);
        let leader = error.leader.clone();
        let (is_write, is_patient) = match pending.work {
            Work::Write { patient, .. } => (true, patient || pending.uncertain),
            Work::Read { .. } => (false, true),
        };
        let error = Error::from(error);
        match code {
            ErrorCode::NotLeader => {
                pending.problem = Some(error);
                self.requeue(id);
                self.redirected(leader);
            }
            ErrorCode::SessionNotFound if is_write => {
                let session = pending.ticket.as_ref().map(|ticket| ticket.tenure.session());
                // In the queue it is settled together with the others of that session.
                self.requeue(id);
                if let Some(session) = session {
                    self.session_ended(now, session);
                }
                self.fail_if_session_over(id);
            }
            ErrorCode::Unavailable => {
                pending.uncertain |= is_write && error.may_have_happened();
                self.try_later(now, id, error);
            }
            ErrorCode::ResourceExhausted if is_patient => self.try_later(now, id, error),
            // It was given up before as far as the server knows, which only this client could have said.
            ErrorCode::StaleSequence => self.finish(id, Err(error.into_ambiguous())),
            _ => self.finish(id, Err(error)),
        }
    }

    fn try_later(&mut self, now: Monotonic, id: RequestId, error: Error) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let wait = self.backoff.after(pending.tries);
        pending.tries = pending.tries.saturating_add(1);
        pending.problem = Some(error);
        self.later.insert((now + wait, id));
    }

    fn redirected(&mut self, leader: Option<synod_proto::types::v1::LeaderHint>) {
        let redirect = self.redirect.get_or_insert_default();
        *redirect = Redirect { leader: leader.or(redirect.leader.take()) };
    }

    fn open_answered(&mut self, now: Monotonic, sent_at: Monotonic, body: Option<Body>) {
        match body {
            Some(Body::Opened(Opened { session_id })) => {
                self.problem = None;
                self.backoff.reset();
                self.session = Session::Open(Open::new(SessionId(session_id), sent_at, &self.settings));
            }
            Some(Body::Error(error)) => {
                let leader = error.leader.clone();
                let error = Error::from(error);
                if error.code() == ErrorCode::NotLeader {
                    self.session = Session::None { retry_at: now };
                    return self.redirected(leader);
                }
                self.session = Session::None { retry_at: now + self.backoff.next() };
                if error.is_retryable() {
                    self.problem = Some(error);
                } else {
                    self.fail_writes(&error);
                }
            }
            _ => self.fail_writes(&not_understood()),
        }
    }

    /// There will be no session, whatever is tried.
    fn fail_writes(&mut self, error: &Error) {
        for id in std::mem::take(&mut self.writes) {
            self.finish(id, Err(error.clone()));
        }
    }

    fn keep_alive_answered(&mut self, now: Monotonic, sent_at: Monotonic, body: Option<Body>) {
        let Some(open) = self.session.open_mut() else { return };
        match body {
            Some(Body::Result(_)) => {
                self.problem = None;
                open.kept_alive(sent_at);
            }
            Some(Body::Error(error)) => match ErrorCode::from_number(error.code) {
                ErrorCode::SessionNotFound => {
                    let session = open.tenure.session();
                    self.session_ended(now, session);
                }
                code => {
                    open.not_kept_alive(now + self.backoff.after(3));
                    if code == ErrorCode::NotLeader {
                        self.redirected(error.leader);
                    }
                }
            },
            _ => {}
        }
    }

    fn close_answered(&mut self, body: Option<Body>) {
        match body {
            Some(Body::Error(error)) if ErrorCode::from_number(error.code).is_retryable() => {
                self.session.disconnected();
                self.redirected(error.leader);
            }
            _ => {
                if let Some(open) = self.session.open() {
                    open.tenure.end();
                }
                self.session = Session::default();
            }
        }
    }

    fn watch_answered(&mut self, tag: Tag, body: Option<Body>) {
        match body {
            Some(Body::Watching(watching)) => self.watches.started(tag, Position(watching.position)),
            Some(Body::Error(error)) => self.watches.failed(tag, error.into()),
            _ => {}
        }
    }

    /// A session is over. What is queued and was sent under it is settled; what is in flight will be told by the server.
    fn session_ended(&mut self, now: Monotonic, session: SessionId) {
        if let Some(open) = self.session.open()
            && open.tenure.session() == session
        {
            tracing::debug!(%session, "session is over");
            open.tenure.end();
            self.session = Session::None { retry_at: now };
        }
        let queued = self.pending.iter().filter(|(_, pending)| !pending.in_flight);
        for id in queued.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.fail_if_session_over(id);
        }
    }

    /// A write that is not in flight, and was meant for or sent under a session that is over, fails; unless it is certain
    /// that it was not executed and it may be under another session: then it is as if it had never been sent.
    pub(super) fn fail_if_session_over(&mut self, id: RequestId) {
        let current = self.session.open().map(|open| open.tenure.session());
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let Work::Write { under, .. } = pending.work else { return };
        let is_other = |session: SessionId| Some(session) != current;
        let was_sent_under_other =
            pending.ticket.as_ref().is_some_and(|ticket| is_other(ticket.tenure.session()));
        let is_for_other = matches!(under, Under::Only(session) if is_other(session));
        if !was_sent_under_other && !is_for_other {
            return;
        }
        if pending.uncertain {
            let message = "the session ended before the outcome was known: the write may have happened";
            self.finish(id, Err(Error::ambiguous(ErrorCode::SessionNotFound, message)));
        } else if is_for_other {
            self.finish(id, Err(session_over()));
        } else {
            pending.ticket = None;
        }
    }
}

fn not_understood() -> Error {
    Error::ambiguous(
        ErrorCode::Internal,
        "the server's answer is not understood: it may be of another version",
    )
}
