//! Clients: each keeps a session, sends requests of all kinds, sends them again until they are answered or given up, and
//! writes down what it asked and heard.

mod answers;
mod asks;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use synod_proto::session::v1 as session;
use synod_proto::session::v1::{Request, request};
use synod_proto::types::v1::Error as WireError;
use synod_replica::{ClientId, Tag};
use synod_types::{Index, Monotonic, PartitionId, SessionId};

use super::dice::Dice;
use super::invariants::Check;
use super::network::End;
use super::plan::Fault;
use super::watcher::Watching;
use super::workload::{Ask, Workload};
use super::world::{Event, Incoming, World, node_at};
use crate::linearizability::models::primitives::Input;
use crate::oracle::expiry::Refresh;

/// The partition that is simulated.
pub(super) const PARTITION: PartitionId = PartitionId(0);

/// Clients close their sessions once in so many times that they wake up.
const SESSION_WAKES: u64 = 600;

/// The most requests that a client has under way.
const IN_FLIGHT_MAX: usize = 3;

/// A client.
pub(super) struct Client {
    pub(super) dice: Dice,
    pub(super) stream: Option<ClientId>,
    target: usize,
    /// It stays with a node that does not answer for longer than others.
    is_stubborn: bool,
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
    /// What has kept it alive.
    refreshes: Vec<Refresh>,
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
            is_stubborn: dice.one_in(3),
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
        self.close_session(client);
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

    /// Closes the session now and then, whatever is under way in it, and does not wait for an answer.
    fn close_session(&mut self, client: usize) {
        let there = &mut self.clients[client];
        let Some(kept) = &there.session else { return };
        if self.is_calm || !self.is_furnished || !there.dice.one_in(SESSION_WAKES) {
            return;
        }
        let session_id = kept.id.get();
        let body = Some(request::Body::Close(session::Close { session_id }));
        let tag = there.next_tag();
        self.client_note(client, format_args!("closes session {session_id}"));
        self.send_from(client, vec![Request { tag, body }]);
        self.end_session(client, self.now);
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
            pending.send_at = now + there.dice.ms(400, 1_200);
            // On one connection a request is sent once.
            if pending.sent > 0 && there.stream.is_some() {
                if there.is_stubborn && !there.dice.one_in(6) {
                    continue;
                }
                silent = true;
            }
            pending.sent += 1;
            requests.push(pending.ask.request(*tag, pending.ticket, acknowledged, seen));
        }
        // Whoever does not answer is not asked again.
        if silent {
            there.look_elsewhere();
        }
        requests
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
            self.session_lost(client, None);
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
