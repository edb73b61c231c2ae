//! What clients hear, and what they make of it.

use std::time::Duration;

use bytes::Bytes;
use synod_proto::session::v1::reply;
use synod_proto::types::v1::Error as WireError;
use synod_replica::Tag;
use synod_types::{Error, ErrorCode, Index, Monotonic, SessionId};

use super::{Pending, Session};
use crate::linearizability::models::primitives::Output;
use crate::linearizability::{Heard, Operation, wire};
use crate::oracle::expiry::{self, Refresh};
use crate::oracle::session::{Answered, Kind};
use crate::sim::history::SessionLife;
use crate::sim::invariants::{Check, Violation};
use crate::sim::workload::Ask;
use crate::sim::world::{Event, Incoming, World, clock_bound};

impl World {
    /// Something arrives at a client.
    pub(in crate::sim) fn client_hears(&mut self, client: usize, incoming: Incoming) -> Check {
        let there = &mut self.clients[client];
        if there.paused_until > self.now || !there.unread.is_empty() {
            there.unread.push_back(incoming);
            return Ok(());
        }
        self.read(client, incoming)
    }

    pub(super) fn read(&mut self, client: usize, incoming: Incoming) -> Check {
        let current = self.clients[client].stream;
        match incoming {
            Incoming::Reply { stream, tag, index, body } if Some(stream) == current => {
                self.clients[client].seen = self.clients[client].seen.max(index);
                self.reply(client, tag, index, body)
            }
            Incoming::Listing { stream, tag, index, chunks } if Some(stream) == current => {
                self.clients[client].seen = self.clients[client].seen.max(index);
                self.listing(client, tag, index, &chunks)
            }
            Incoming::Delivery { stream, tag, events, position } if Some(stream) == current => {
                self.delivered(client, tag, &events, position)
            }
            Incoming::Broken { stream } if Some(stream) == current => {
                self.clients[client].look_elsewhere();
                let (now, wait) = (self.now, self.dice.ms(1, 100));
                for pending in self.clients[client].pending.values_mut() {
                    pending.send_at = pending.send_at.min(now + wait);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn reply(&mut self, client: usize, tag: Tag, index: Index, body: reply::Body) -> Check {
        if let reply::Body::Error(error) = &body {
            self.client_note(client, format_args!("is refused: {}", error.message));
        }
        let there = &mut self.clients[client];
        if let Some((opening, sent_at, timeout)) = there.opening
            && opening == tag
        {
            self.opened(client, sent_at, timeout, body);
            return Ok(());
        }
        if let Some((keeping, sent_at)) = there.keeping
            && keeping == tag
        {
            there.keeping = None;
            self.kept(client, sent_at, body);
            return Ok(());
        }
        if there.watching.as_ref().is_some_and(|watching| watching.tag == tag) {
            return self.watch_answered(client, body);
        }
        if !there.pending.contains_key(&tag) {
            return Ok(());
        }
        match body {
            reply::Body::Result(result) => self.answered(client, tag, index, Ok(&result)),
            reply::Body::Error(error) => self.refused(client, tag, index, error),
            _ => Ok(()),
        }
    }

    fn opened(&mut self, client: usize, sent_at: Monotonic, timeout: Duration, body: reply::Body) {
        let there = &mut self.clients[client];
        match body {
            reply::Body::Opened(opened) => {
                there.opening = None;
                let id = SessionId(opened.session_id);
                there.session = Some(Session {
                    id,
                    timeout,
                    refreshed_at: sent_at,
                    last_sequence: 0,
                    settled: Vec::new(),
                    acknowledged: 0,
                    refreshes: vec![refresh(timeout, sent_at, self.now)],
                });
                self.referee.refreshed(id, sent_at, timeout);
            }
            reply::Body::Error(error) => {
                there.opening = None;
                there.redirect(&error);
            }
            _ => {}
        }
    }

    fn kept(&mut self, client: usize, sent_at: Monotonic, body: reply::Body) {
        let there = &mut self.clients[client];
        match (body, &mut there.session) {
            (reply::Body::Result(_), Some(kept)) => {
                kept.refreshed_at = kept.refreshed_at.max(sent_at);
                let (id, timeout) = (kept.id, kept.timeout);
                kept.refreshes.push(refresh(timeout, sent_at, self.now));
                self.referee.refreshed(id, sent_at, timeout);
            }
            (reply::Body::Error(error), Some(_)) => {
                if ErrorCode::from_number(error.code) == ErrorCode::SessionNotFound {
                    self.session_lost(client, Some(self.now));
                } else {
                    self.clients[client].redirect(&error);
                }
            }
            _ => {}
        }
    }

    /// The session is gone, or nobody needs it any more. What is under way in it stays unknown.
    pub(in crate::sim) fn session_lost(&mut self, client: usize, gone_at: Option<Monotonic>) {
        let bound = clock_bound(&self.plan);
        let Some(lost) = &mut self.clients[client].session else { return };
        let refreshes = std::mem::take(&mut lost.refreshes);
        let expires_at = bound.earliest_end(lost.refreshed_at, lost.timeout);
        self.recorder.lives.push(expiry::Life { refreshes, gone_at, watched_until: self.now });
        self.end_session(client, expires_at);
    }

    /// The session may end from a moment on.
    pub(super) fn end_session(&mut self, client: usize, ends_at: Monotonic) {
        let bound = clock_bound(&self.plan);
        let there = &mut self.clients[client];
        let Some(lost) = there.session.take() else { return };
        there.keeping = None;
        let expires_at = ends_at.min(bound.earliest_end(lost.refreshed_at, lost.timeout));
        self.recorder.sessions.push(SessionLife { session: lost.id, expires_at });
        let of_session = |pending: &Pending| pending.ticket.is_some_and(|(id, _)| id == lost.id);
        let tags: Vec<_> = self.clients[client]
            .pending
            .iter()
            .filter(|(_, pending)| of_session(pending))
            .map(|(tag, _)| *tag)
            .collect();
        for tag in tags {
            if let Some(pending) = self.clients[client].pending.remove(&tag) {
                self.finish(client, pending, None);
            }
        }
    }

    fn refused(&mut self, client: usize, tag: Tag, index: Index, error: WireError) -> Check {
        let code = ErrorCode::from_number(error.code);
        match code {
            ErrorCode::NotLeader
            | ErrorCode::Unavailable
            | ErrorCode::Timeout
            | ErrorCode::ResourceExhausted => {
                let (now, wait) = (self.now, self.dice.ms(5, 150));
                let there = &mut self.clients[client];
                if let Some(pending) = there.pending.get_mut(&tag) {
                    pending.send_at = now + wait;
                }
                if code != ErrorCode::ResourceExhausted {
                    there.redirect(&error);
                }
                Ok(())
            }
            ErrorCode::SessionNotFound => {
                self.session_lost(client, Some(self.now));
                // A read has no session, and a write of an older one was not under way any more.
                Ok(())
            }
            _ => self.answered(client, tag, index, Err(&Error::from(error))),
        }
    }

    /// A request has its answer, which may be a refusal.
    fn answered(&mut self, client: usize, tag: Tag, index: Index, answer: Result<&Bytes, &Error>) -> Check {
        let Some(pending) = self.clients[client].pending.remove(&tag) else { return Ok(()) };
        if let Some((session, sequence)) = pending.ticket
            && !matches!(answer, Err(error) if error.code() == ErrorCode::StaleSequence)
        {
            self.referee.answered(session, sequence, answer)?;
        }
        self.note_index(client, &pending, index);
        if let Ok(bytes) = answer {
            self.furnished(client, &pending.ask);
            self.learn(client, &pending, bytes);
        }
        let retried = pending.sent > 1;
        let output = pending.input.as_ref().map(|input| {
            let output = |result| wire::answer(input, result).map_err(|error| error.to_string());
            match Heard::of(answer.cloned(), retried) {
                Heard::Answer(result) => output(result).map(Some),
                Heard::Unknown => Ok(None),
                Heard::NotDone => Err(String::new()),
            }
        });
        match output.transpose() {
            Ok(output) => self.finish(client, pending, output.flatten()),
            // It certainly never happened.
            Err(why) if why.is_empty() => self.settle(client, &pending),
            Err(why) => return Err(Violation::new("answers", why)),
        }
        Ok(())
    }

    fn listing(&mut self, client: usize, tag: Tag, index: Index, chunks: &[Bytes]) -> Check {
        let Some(pending) = self.clients[client].pending.remove(&tag) else { return Ok(()) };
        self.note_index(client, &pending, index);
        let Some(input) = &pending.input else { return Ok(()) };
        let output =
            wire::listing(input, chunks).map_err(|error| Violation::new("answers", error.to_string()))?;
        self.finish(client, pending, Some(output));
        Ok(())
    }

    /// The answer reflects all commands up to an index.
    fn note_index(&mut self, client: usize, pending: &Pending, index: Index) {
        let kind = if pending.ask.is_sequential() { Kind::Sequential } else { Kind::Linearizable };
        let (invoked_at, returned_at) = (pending.invoked_at, self.now);
        let session = client as u64;
        self.recorder.answered.push(Answered { session, kind, invoked_at, returned_at, index: index.get() });
    }

    fn settle(&mut self, client: usize, pending: &Pending) {
        if let (Some(kept), Some((session, sequence))) = (&mut self.clients[client].session, pending.ticket)
            && kept.id == session
        {
            kept.settle(sequence);
        }
    }

    /// A request is over: it goes into the history.
    pub(super) fn finish(&mut self, client: usize, pending: Pending, output: Option<Output>) {
        self.settle(client, &pending);
        let is_write = pending.ask.is_write();
        let Some(input) = pending.input else { return };
        if pending.ask.is_sequential() || (output.is_none() && (!is_write || pending.sent == 0)) {
            return;
        }
        let (now, invoked_at) = (self.now, pending.invoked_at);
        self.client_note(client, format_args!("asked at {invoked_at:?} {input:?}, heard {output:?}"));
        let returned = output.map(|output| (now, output));
        self.recorder.operations.push(Operation { client: client as u64, input, invoked_at, returned });
    }

    fn learn(&mut self, client: usize, pending: &Pending, bytes: &Bytes) {
        if let Some(input) = &pending.input
            && let Ok(output) = wire::answer(input, Ok(bytes.clone()))
        {
            self.clients[client].workload.learn(&output);
        }
    }

    /// The first client makes the primitives, and everybody waits for it.
    fn furnished(&mut self, client: usize, ask: &Ask) {
        if let Ask::Create(command) = ask
            && !self.is_furnished
        {
            self.is_furnished = self.clients[client].workload.created(command);
            if self.is_furnished {
                self.network.set_weather(self.plan.weather);
                self.schedule.at(self.now, Event::Trouble);
            }
        }
    }
}

fn refresh(duration: Duration, invoked_at: Monotonic, answered_at: Monotonic) -> Refresh {
    Refresh { duration, invoked_at, answered_at: Some(answered_at) }
}
