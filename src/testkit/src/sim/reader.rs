//! Stubborn readers: beside every node sits one that stays with it whatever happens, and asks it for linearizable reads
//! as long as the node believes that it leads. Clients soon turn away from a leader that is cut off, asleep or deposed;
//! these do not, so that such a leader has every chance to answer with what is no longer true. What it answers is
//! judged by [`fresh_reads`](super::invariants::fresh_reads), and goes nowhere.

use prost::Message as _;
use synod_proto::session::v1 as session;
use synod_proto::session::v1::{Consistency, Request, request};
use synod_protocol::Role;
use synod_replica::ClientId;

use super::node::Mail;
use super::workload;
use super::world::{Event, World};

/// Far from all that connections of clients ever reach.
const FIRST_READER: ClientId = 1 << 60;

/// The most reads that wait for a node that sleeps.
const WAITING_MAX: usize = 20;

impl World {
    /// Whoever believes to lead is asked for a read.
    pub(super) fn readers_ask(&mut self) {
        let again = self.now + self.dice.ms(30, 130);
        self.schedule.at(again, Event::Readers);
        for node in 0..self.nodes.len() {
            let there = &self.nodes[node];
            let is_asked = there.working().is_some_and(|process| {
                process.replica.standing().role == Role::Leader && process.inbox.len() < WAITING_MAX
            });
            if is_asked {
                let life = there.life;
                self.reads_asked += 1;
                let query = session::Query {
                    consistency: Consistency::Linearizable as i32,
                    seen_index: 0,
                    query: workload::small_read().encode_to_vec().into(),
                };
                let request = Request { tag: self.reads_asked, body: Some(request::Body::Query(query)) };
                let client = FIRST_READER + node as ClientId;
                self.arrive(node, Some(life), Mail::Request(client, request));
            }
        }
    }
}
