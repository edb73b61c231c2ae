//! Clients: each keeps a session, sends requests of all kinds, sends them again until they are answered or given up, and
//! writes down what it asked and heard.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use synod_proto::primitive::v1::Query;
use synod_proto::session::v1 as session;
use synod_proto::session::v1::{Consistency, Request, reply, request};
use synod_proto::types::v1::Error as WireError;
use synod_replica::{ClientId, Tag};
use synod_types::{Error, ErrorCode, Index, Monotonic, PartitionId, SessionId};

use super::dice::Dice;
use super::history::SessionLife;
use super::invariants::{Check, Violation};
use super::network::End;
use super::plan::Fault;
use super::watcher::Watching;
use super::workload::{Ask, Workload};
use super::world::{Event, Incoming, World, clock_bound, node_at};
use crate::linearizability::models::primitives::{Input, Output};
use crate::linearizability::{Heard, Operation, wire};
use crate::oracle::session::{Answered, Kind};

/// The partition that is simulated.
pub(super) const PARTITION: PartitionId = PartitionId(0);

/// The most requests that a client has under way.
const IN_FLIGHT_MAX: usize = 3;

/// A client.
pub(super) struct Client {
    pub(super) dice: Dice,
    pub(super) stream: Option<ClientId>,
    target: usize,
    last_tag: Tag,
    pub(super) session: Option<Session>,
    opening: Option<(Tag, Monotonic, Duration)>,
    keeping: Option<(Tag, Monotonic)>,
    pending: BTreeMap<Tag, Pending>,
    next_request: Monotonic,
    pub(super) paused_until: Monotonic,
    /// What waits in its socket while it sleeps.
    unread: VecDeque<Incoming>,
    /// Connections that it has turned away from.
    left: Vec<ClientId>,
    pub(super) seen: Index,
    pub(super) workload: Workload,
    pub(super) watching: Option<Watching>,
}

/// A session as its client knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    timeout: Duration,
    /// When the last keep-alive that was answered was sent.
    pub(super) refreshed_at: Monotonic,
    last_sequence: u64,
    /// Whose answers have come, or are no longer wanted, above `acknowledged`.
    settled: Vec<u64>,
    acknowledged: u64,
}

impl Session {
    fn settle(&mut self, sequence: u64) {
        self.settled.push(sequence);
        while let Some(place) = self.settled.iter().position(|settled| *settled == self.acknowledged + 1) {
            self.settled.swap_remove(place);
            self.acknowledged += 1;
        }
    }
}

/// A request under way.
struct Pending {
    ask: Ask,
    input: Option<Input>,
    /// The session and sequence of a write that has them.
    ticket: Option<(SessionId, u64)>,
    invoked_at: Monotonic,
    sent: u32,
    send_at: Monotonic,
    give_up_at: Monotonic,
    /// It was given up on purpose: nobody waits any more.
    abandoned: bool,
}

impl Client {
    pub(super) fn new(number: usize, mut dice: Dice) -> Self {
        Self {
            workload: Workload::new(number),
            target: number,
            dice: dice.split(),
            stream: None,
            last_tag: 0,
            session: None,
            opening: None,
            keeping: None,
            pending: BTreeMap::new(),
            next_request: Monotonic::default(),
            paused_until: Monotonic::default(),
            unread: VecDeque::new(),
            left: Vec::new(),
            seen: Index(0),
            watching: None,
        }
    }

    pub(super) fn next_tag(&mut self) -> Tag {
        self.last_tag += 1;
        self.last_tag
    }

    /// Whether nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        self.pending.is_empty()
    }
}

impl World {
    /// A client wakes up and does what is due.
    pub(super) fn client_acts(&mut self, client: usize) -> Check {
        let again = self.now + self.dice.ms(15, 35);
        self.schedule.at(again, Event::Client { client });
        if self.clients[client].paused_until > self.now {
            return Ok(());
        }
        while let Some(incoming) = self.clients[client].unread.pop_front() {
            self.read(client, incoming)?;
        }
        for stream in std::mem::take(&mut self.clients[client].left) {
            self.break_stream(stream);
        }
        self.keep_session(client);
        self.give_up_late_ones(client);
        self.ask_next(client);
        let requests = self.due_requests(client);
        self.send_from(client, requests);
        self.keep_watching(client);
        Ok(())
    }

    pub(super) fn send_from(&mut self, client: usize, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        let stream = match self.clients[client].stream {
            Some(stream) => stream,
            None => {
                let node = self.clients[client].target % self.nodes.len();
                let stream = self.connect(client, node);
                self.clients[client].stream = Some(stream);
                stream
            }
        };
        self.send_requests(stream, requests);
    }

    fn client_note(&mut self, client: usize, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, End::Client(client), what);
    }

    /// Opens a session, or keeps the one there is alive.
    fn keep_session(&mut self, client: usize) {
        let now = self.now;
        let there = &mut self.clients[client];
        let patience = there.dice.ms(400, 1_500);
        let body = match &there.session {
            None if there.opening.is_none_or(|(_, sent_at, _)| now.since(sent_at) > patience) => {
                if there.opening.is_some() {
                    there.look_elsewhere();
                }
                let (tag, timeout) = (there.next_tag(), there.dice.ms(1_000, 4_000));
                there.opening = Some((tag, now, timeout));
                let open = session::Open { timeout_ms: timeout.as_millis() as u64, client: String::new() };
                (tag, request::Body::Open(open))
            }
            Some(kept) => {
                let is_due = now.since(kept.refreshed_at) > kept.timeout / 4;
                let waits = there.keeping.is_some_and(|(_, sent_at)| now.since(sent_at) < kept.timeout / 4);
                if !is_due || waits {
                    return;
                }
                let session_id = kept.id.get();
                if there.keeping.is_some() {
                    there.look_elsewhere();
                }
                let tag = there.next_tag();
                there.keeping = Some((tag, now));
                (tag, request::Body::KeepAlive(session::KeepAlive { session_id }))
            }
            None => return,
        };
        let (tag, body) = body;
        self.client_note(client, format_args!("sends {body:?}"));
        self.send_from(client, vec![Request { tag, body: Some(body) }]);
    }

    /// Requests that take too long are given up; their outcome stays unknown.
    fn give_up_late_ones(&mut self, client: usize) {
        let now = self.now;
        let late = |pending: &Pending| pending.give_up_at <= now;
        let there = &mut self.clients[client];
        let tags: Vec<_> = there.pending.iter().filter(|(_, one)| late(one)).map(|(tag, _)| *tag).collect();
        for tag in tags {
            let Some(pending) = self.clients[client].pending.remove(&tag) else { continue };
            if pending.abandoned {
                self.strike(Fault::Abandon);
            }
            self.recorder.abandoned += 1;
            self.finish(client, pending, None);
        }
    }

    /// Thinks of another request when it is time.
    fn ask_next(&mut self, client: usize) {
        let (now, think_ms) = (self.now, self.plan.think_ms);
        let may_abandon = self.plan.has(Fault::Abandon) && !self.is_calm;
        let (is_calm, is_furnished) = (self.is_calm, self.is_furnished);
        let there = &mut self.clients[client];
        let Some(kept) = &mut there.session else { return };
        if there.next_request > now || there.pending.len() >= IN_FLIGHT_MAX {
            return;
        }
        if !is_furnished && client != 0 {
            return;
        }
        let Some(ask) = there.workload.next(&mut there.dice, kept.id, is_furnished, is_calm) else { return };
        there.next_request = now + there.dice.ms(1, think_ms);
        let ticket = ask.is_write().then(|| {
            kept.last_sequence += 1;
            (kept.id, kept.last_sequence)
        });
        let session = kept.id;
        let abandoned = may_abandon && there.dice.one_in(15);
        let patience = if abandoned { there.dice.ms(1, 300) } else { there.dice.ms(3_000, 12_000) };
        let input = ask.input(session);
        let pending = Pending {
            input,
            ask,
            ticket,
            invoked_at: now,
            sent: 0,
            send_at: now,
            give_up_at: now + patience,
            abandoned,
        };
        let tag = there.next_tag();
        there.pending.insert(tag, pending);
    }

    /// The requests that are to be sent now, for the first time or again.
    fn due_requests(&mut self, client: usize) -> Vec<Request> {
        let now = self.now;
        let there = &mut self.clients[client];
        let acknowledged = there.session.as_ref().map_or(0, |kept| kept.acknowledged);
        let (seen, mut silent) = (there.seen, false);
        let mut requests = Vec::new();
        for (tag, pending) in &mut there.pending {
            if pending.send_at > now {
                continue;
            }
            silent |= pending.sent > 0;
            pending.sent += 1;
            pending.send_at = now + there.dice.ms(400, 1_200);
            requests.push(pending.ask.request(*tag, pending.ticket, acknowledged, seen));
        }
        // Whoever does not answer is not asked again.
        if silent {
            there.look_elsewhere();
        }
        requests
    }

    /// Something arrives at a client.
    pub(super) fn client_hears(&mut self, client: usize, incoming: Incoming) -> Check {
        let there = &mut self.clients[client];
        if there.paused_until > self.now || !there.unread.is_empty() {
            there.unread.push_back(incoming);
            return Ok(());
        }
        self.read(client, incoming)
    }

    fn read(&mut self, client: usize, incoming: Incoming) -> Check {
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
                self.referee.refreshed(id, sent_at, timeout);
            }
            (reply::Body::Error(error), Some(_)) => {
                if ErrorCode::from_number(error.code) == ErrorCode::SessionNotFound {
                    self.session_lost(client);
                } else {
                    self.clients[client].redirect(&error);
                }
            }
            _ => {}
        }
    }

    /// The session is gone. What is under way in it stays unknown.
    pub(super) fn session_lost(&mut self, client: usize) {
        let bound = clock_bound(&self.plan);
        let there = &mut self.clients[client];
        let Some(lost) = there.session.take() else { return };
        there.keeping = None;
        let expires_at = bound.earliest_end(lost.refreshed_at, lost.timeout);
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
                self.session_lost(client);
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
    fn finish(&mut self, client: usize, pending: Pending, output: Option<Output>) {
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

    /// A client sleeps for longer than its session lasts.
    pub(super) fn pause_client(&mut self) -> bool {
        let client = self.dice.below(self.clients.len() as u64) as usize;
        let until = self.now + self.dice.ms(500, 9_000);
        let paused_until = &mut self.clients[client].paused_until;
        *paused_until = until.max(*paused_until);
        true
    }

    /// Closes the books: sessions that still live, and requests that were never answered.
    pub(super) fn close_books(&mut self) {
        for client in 0..self.clients.len() {
            self.session_lost(client);
            let pending = std::mem::take(&mut self.clients[client].pending);
            for pending in pending.into_values() {
                self.finish(client, pending, None);
            }
            self.stop_watching(client);
        }
    }
}

impl Client {
    /// Asks another node from now on.
    fn look_elsewhere(&mut self) {
        self.left.extend(self.stream.take());
        self.target = self.dice.below(64) as usize;
    }

    /// Asks whoever leads from now on, if the server knows.
    fn redirect(&mut self, error: &WireError) {
        self.left.extend(self.stream.take());
        let hinted = error.leader.as_ref().and_then(|leader| node_at(&leader.client_address));
        self.target = hinted.unwrap_or_else(|| self.dice.below(64) as usize);
    }
}

/// Requests as they go over the wire.
impl Ask {
    fn request(&self, tag: Tag, ticket: Option<(SessionId, u64)>, acknowledged: u64, seen: Index) -> Request {
        let body = match self {
            Self::Create(command) | Self::Command(command) => {
                let (session, sequence) = ticket.unwrap_or_default();
                request::Body::Propose(session::Propose {
                    session_id: session.get(),
                    sequence,
                    acknowledged,
                    command: command.encode_to_vec().into(),
                })
            }
            Self::Query(query) => query_request(query, Consistency::Linearizable, seen),
            Self::Sequential(query) => query_request(query, Consistency::Sequential, seen),
            Self::Scan(scan) => request::Body::Scan(session::Scan {
                consistency: Consistency::Linearizable as i32,
                seen_index: seen.get(),
                scan: scan.encode_to_vec().into(),
            }),
        };
        Request { tag, body: Some(body) }
    }

    /// What is asked, as the models see it.
    fn input(&self, session: SessionId) -> Option<Input> {
        match self {
            Self::Create(_) => None,
            Self::Command(command) => wire::command(session, PARTITION, command),
            Self::Query(query) | Self::Sequential(query) => wire::query(PARTITION, query),
            Self::Scan(scan) => wire::scan(PARTITION, scan),
        }
    }
}

fn query_request(query: &Query, consistency: Consistency, seen: Index) -> request::Body {
    request::Body::Query(session::Query {
        consistency: consistency as i32,
        seen_index: seen.get(),
        query: query.encode_to_vec().into(),
    })
}
