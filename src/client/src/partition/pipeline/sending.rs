//! What is sent, and in which order.

use std::sync::atomic::Ordering;

use synod_proto::session::v1 as wire;
use synod_proto::session::v1::request::Body;
use synod_types::Monotonic;

use super::{InFlight, Pipeline, RequestId, Work, session};

/// The most requests that are unanswered on one stream: half of what makes a server stop reading it.
pub(super) const IN_FLIGHT_MAX: usize = 4_096;
/// A frame takes no more requests once it has this many, or this many bytes.
pub(super) const FRAME_REQUESTS_MAX: usize = 1_024;
const FRAME_BYTES_MAX: usize = 1 << 20;

impl Pipeline {
    /// Whether [`Pipeline::next_frame`] has something to send.
    pub(crate) fn wants_to_send(&self, now: Monotonic) -> bool {
        let has_room = self.in_flight.len() < IN_FLIGHT_MAX;
        let can_write = self.session.open().is_some_and(session::Open::has_room);
        self.connected
            && (self.session.has_request(now, !self.writes.is_empty(), self.wants_to_end())
                || self.watches.has_request()
                || has_room && (!self.reads.is_empty() || can_write && !self.writes.is_empty()))
    }

    fn wants_to_end(&self) -> bool {
        self.is_closing && self.pending.is_empty()
    }

    /// What to send next, if there is something and a stream.
    pub(crate) fn next_frame(&mut self, now: Monotonic) -> Option<wire::ClientFrame> {
        if !self.connected {
            return None;
        }
        let mut requests = Vec::new();
        let (is_wanted, wants_to_end) = (!self.writes.is_empty(), self.wants_to_end());
        if let Some((body, what)) = self.session.next_request(now, is_wanted, wants_to_end, &self.settings) {
            requests.push(self.tagged(body, what));
        }
        while let Some((body, watch)) = self.watches.next_request(self.seen.load(Ordering::Acquire)) {
            let what = watch.map_or(InFlight::CancelWatch, InFlight::Watch);
            requests.push(self.tagged(body, what));
            if let Some(watch) = watch {
                self.watches.sent(watch, self.last_tag);
            }
        }
        let mut bytes = 0;
        while bytes < FRAME_BYTES_MAX
            && requests.len() < FRAME_REQUESTS_MAX
            && self.in_flight.len() < IN_FLIGHT_MAX
        {
            // In turns, so that neither keeps the other out.
            let next = [self.next_read(), self.next_write()];
            let before = requests.len();
            for (id, body, length) in next.into_iter().flatten() {
                bytes += length;
                requests.push(self.tagged(body, InFlight::Request(id)));
            }
            if requests.len() == before {
                break;
            }
        }
        if requests.is_empty() {
            return None;
        }
        self.silent_since.get_or_insert(now);
        Some(wire::ClientFrame { hello: None, requests })
    }

    fn tagged(&mut self, body: Body, what: InFlight) -> wire::Request {
        self.last_tag += 1;
        self.in_flight.insert(self.last_tag, what);
        wire::Request { tag: self.last_tag, body: Some(body) }
    }

    fn next_read(&mut self) -> Option<(RequestId, Body, usize)> {
        loop {
            let id = self.reads.pop_front()?;
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            let Work::Read { query, consistency } = &pending.work else { continue };
            pending.in_flight = true;
            let seen_index = self.seen.load(Ordering::Acquire);
            let (query, consistency) = (query.clone(), *consistency as i32);
            let length = query.len();
            return Some((id, Body::Query(wire::Query { consistency, seen_index, query }), length));
        }
    }

    fn next_write(&mut self) -> Option<(RequestId, Body, usize)> {
        loop {
            let open = self.session.open_mut().filter(|open| open.has_room())?;
            let id = self.writes.pop_front()?;
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            let Work::Write { command, .. } = &pending.work else { continue };
            pending.in_flight = true;
            let ticket = pending.ticket.get_or_insert_with(|| open.ticket());
            let propose = wire::Propose {
                session_id: ticket.tenure.session().get(),
                sequence: ticket.sequence,
                acknowledged: open.floor(),
                command: command.clone(),
            };
            return Some((id, Body::Propose(propose), command.len()));
        }
    }
}
