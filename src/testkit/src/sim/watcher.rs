//! The watches of clients: each follows one filter over all its connections.

use bytes::Bytes;
use prost::Message as _;
use synod_proto::primitive::v1::Event as WireEvent;
use synod_proto::session::v1::{self as session, Request, reply, request, watch};
use synod_replica::{ClientId, Tag};
use synod_types::{ErrorCode, Monotonic, Position};

use super::history::Seen;
use super::invariants::{Check, Violation};
use super::network::End;
use super::world::World;
use crate::oracle::watch::{Event, Filter, Keys, Received, Watcher};

/// A watch of a client.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) tag: Tag,
    /// The connection on which it was asked for, and when.
    asked: Option<(ClientId, Monotonic)>,
    /// After which position the next connection goes on; 0 for now.
    after: Position,
    watcher: Watcher<Seen>,
}

impl World {
    /// Asks for the watch of a client again, if its connection is a new one.
    pub(super) fn keep_watching(&mut self, client: usize) {
        if !self.is_furnished {
            return;
        }
        if self.clients[client].watching.is_none() {
            let there = &mut self.clients[client];
            let filter = there.workload.filter(&mut there.dice);
            let watcher = Watcher { filter, received: Vec::new(), caught_up_to: None };
            let tag = there.next_tag();
            there.watching = Some(Watching { tag, asked: None, after: Position(0), watcher });
        }
        let there = &mut self.clients[client];
        let (Some(stream), seen) = (there.stream, there.seen) else { return };
        let tag = there.next_tag();
        let Some(watching) = &mut there.watching else { return };
        if watching.asked.is_some_and(|(asked, _)| asked == stream) {
            return;
        }
        watching.asked = Some((stream, self.now));
        watching.tag = tag;
        let Filter { primitive, keys } = watching.watcher.filter.clone();
        let filter = match keys {
            Keys::All => None,
            Keys::Exactly(key) => Some(watch::Filter::Key(key)),
            Keys::Prefix(prefix) => Some(watch::Filter::Prefix(prefix)),
        };
        let (after_position, seen_index) = (watching.after.get(), seen.get());
        let body = session::Watch { primitive, after_position, seen_index, filter };
        self.send_from(client, vec![Request { tag, body: Some(request::Body::Watch(body)) }]);
    }

    /// A watch is accepted, or has ended.
    pub(super) fn watch_answered(&mut self, client: usize, body: reply::Body) -> Check {
        let Some(watching) = &mut self.clients[client].watching else { return Ok(()) };
        match body {
            reply::Body::Watching(started) => {
                let (after, position) = (watching.after.get(), started.position);
                watching.watcher.received.push(Received::Started { after, position });
                watching.after = Position(position);
            }
            reply::Body::Error(error) if ErrorCode::from_number(error.code) == ErrorCode::Compacted => {
                // It begins anew, as another watcher: it knows that it has missed something.
                watching.watcher.received.push(Received::Compacted);
                self.stop_watching(client);
            }
            // It asks again on its next connection.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn delivered(
        &mut self,
        client: usize,
        tag: Tag,
        events: &[Bytes],
        position: Position,
    ) -> Check {
        let Some(watching) = self.clients[client].watching.as_ref().filter(|one| one.tag == tag) else {
            return Ok(());
        };
        let stream = watching.asked.map(|(stream, _)| stream);
        let count = events.len();
        self.trace.line(
            self.now,
            End::Client(client),
            format_args!("gets {count} events up to {position} for watch {tag} of {stream:?}"),
        );
        let Some(watching) = &mut self.clients[client].watching else { return Ok(()) };
        let mut seen = Vec::new();
        for event in events {
            let event = WireEvent::decode(event.clone())
                .map_err(|error| Violation::new("watches", error.to_string()))?;
            let (position, index) = (event.position, event.index);
            let event = event.event.ok_or_else(|| Violation::new("watches", "an event says nothing"))?;
            seen.push(Event { position, index, event });
        }
        watching.watcher.received.push(Received::Delivered { events: seen, position: position.get() });
        watching.after = position;
        Ok(())
    }

    /// Ends the watch of a client, and keeps what it has seen.
    pub(super) fn stop_watching(&mut self, client: usize) {
        let watching = self.clients[client].watching.take();
        self.recorder.watchers.extend(watching.map(|watching| watching.watcher));
    }
}
