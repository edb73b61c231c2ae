//! Connections of clients: in order, without loss, until they break.

use synod_proto::session::v1::Request;
use synod_replica::{ClientId, Input};
use synod_types::Monotonic;

use super::network::End;
use super::node::Mail;
use super::plan::Fault;
use super::world::{Event, Incoming, Stream, World};

/// Which way something goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToNode,
    ToClient,
}

impl World {
    /// Opens a connection of a client to a node. Whether anybody is there shows later.
    pub(super) fn connect(&mut self, client: usize, node: usize) -> ClientId {
        self.last_stream += 1;
        let life = self.nodes[node].life;
        let (last_arrival, read_until, is_broken) = ([self.now; 2], self.now, false);
        let stream = Stream { client, node, life, is_broken, last_arrival, read_until };
        self.streams.insert(self.last_stream, stream);
        self.last_stream
    }

    /// When something that is sent now arrives; none if the connection is broken, or breaks over it.
    fn arrival(&mut self, id: ClientId, way: Way) -> Option<Monotonic> {
        let stream = self.streams.get(&id)?;
        let (client, node, is_broken) = (stream.client, stream.node, stream.is_broken);
        if is_broken {
            return None;
        }
        let (client, node) = (End::Client(client), End::Node(node));
        let [delay, _] = match way {
            Way::ToNode => self.network.send(client, node),
            Way::ToClient => self.network.send(node, client),
        };
        let Some(delay) = delay else {
            self.break_stream(id);
            return None;
        };
        let last = self.streams.get_mut(&id)?.last_arrival.get_mut(way as usize)?;
        *last = (self.now + delay).max(Monotonic::from_nanos(last.as_nanos() + 1));
        Some(*last)
    }

    /// Events leave for a client: when it has taken off the wire what left before. Some take so long that what is new has
    /// to wait for them.
    pub(super) fn read_events(&mut self, node: usize, id: ClientId, bytes: usize) {
        let slowest_ms = if self.dice.one_in(8) { 4_000 } else { 20 };
        let wait = self.dice.ms(0, slowest_ms);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.read_until = stream.read_until.max(self.now) + wait;
        let (at, life) = (stream.read_until, Some(self.nodes[node].life));
        let mail = Mail::Input(Input::EventsSent(id, bytes));
        self.schedule.at(at, Event::Arrival { node, life, mail });
    }

    /// A client sends requests.
    pub(super) fn send_requests(&mut self, id: ClientId, requests: Vec<Request>) {
        let Some(at) = self.arrival(id, Way::ToNode) else { return };
        let Some(Stream { node, life, .. }) = self.streams.get(&id) else { return };
        let (node, life) = (*node, *life);
        let late = self.plan.has(Fault::LateDuplicate) && !self.is_calm && self.dice.one_in(10);
        if late {
            self.send_again(&requests);
        }
        for request in requests {
            let mail = Mail::Request(id, request);
            self.schedule.at(at, Event::Arrival { node, life: Some(life), mail });
        }
    }

    /// Requests arrive once more, much later and anywhere; nobody waits for an answer.
    fn send_again(&mut self, requests: &[Request]) {
        self.strike(Fault::LateDuplicate);
        let node = self.dice.below(self.nodes.len() as u64) as usize;
        let at = self.now + self.dice.ms(10, 15_000);
        self.last_stream += 1;
        for request in requests {
            let mail = Mail::Request(self.last_stream, request.clone());
            self.schedule.at(at, Event::Arrival { node, life: None, mail });
        }
    }

    pub(super) fn send_to_client(&mut self, id: ClientId, incoming: Incoming) {
        let Some(at) = self.arrival(id, Way::ToClient) else { return };
        let Some(client) = self.streams.get(&id).map(|stream| stream.client) else { return };
        self.schedule.at(at, Event::ToClient { client, incoming });
    }

    /// A connection breaks; either end notices some time later.
    pub(super) fn break_stream(&mut self, id: ClientId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.is_broken) else { return };
        stream.is_broken = true;
        let (client, node, life) = (stream.client, stream.node, stream.life);
        let noticed = [self.now + self.dice.ms(1, 1_500), self.now + self.dice.ms(1, 1_500)];
        let incoming = Incoming::Broken { stream: id };
        self.schedule.at(noticed[0], Event::ToClient { client, incoming });
        let mail = Mail::Input(Input::Disconnected(id));
        self.schedule.at(noticed[1], Event::Arrival { node, life: Some(life), mail });
    }

    /// A process has ended, and all connections to it with it.
    pub(super) fn break_streams_of(&mut self, node: usize) {
        let of_node = |stream: &&ClientId| self.streams[*stream].node == node;
        let broken: Vec<_> = self.streams.keys().filter(of_node).copied().collect();
        for id in broken {
            self.break_stream(id);
            self.streams.remove(&id);
        }
    }
}
