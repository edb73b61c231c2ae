//! Everything that there is in a run, and the loop that makes time pass.

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_primitives::Placement;
use synod_proto::session::v1::reply;
use synod_proto::types::v1::Member;
use synod_protocol::Message;
use synod_replica::{ClientId, Configuration, Genesis, Tag};
use synod_types::{Index, LogTime, Monotonic, PartitionId, Position, Random as _, SlotTable};

use super::client::Client;
use super::clock::NodeClock;
use super::dice::Dice;
use super::history::Recorder;
use super::invariants::Violation;
use super::network::{End, Network};
use super::node::{Mail, Node};
use super::operator::Operator;
use super::plan::{Fault, Plan};
use super::referee::Referee;
use super::trace::Trace;
use crate::oracle::ClockBound;

/// The group whose partition 0 is simulated.
pub(super) const GROUP: &str = "default/simulated";

/// What is planned.
pub(super) enum Event {
    /// The thread of a replica takes its mail.
    Turn { node: usize, life: u64 },
    /// Mail arrives at a node.
    Arrival { node: usize, life: Option<u64>, mail: Mail },
    /// A message arrives at a node, for whoever lives there.
    Peer { from: usize, to: usize, message: Message },
    /// The writer takes what waits.
    Write { node: usize, life: u64 },
    /// The disk has done what it was asked to sync.
    Sync { node: usize, life: u64 },
    /// Nothing was written for a while.
    Idle { node: usize, life: u64, syncs: u64 },
    /// The snapshot under way is written.
    Save { node: usize, life: u64 },
    /// A snapshot arrives at a node.
    Offer { from: usize, from_life: u64, to: usize, message: Message, file: Bytes },
    /// The process of a node starts.
    Start { node: usize },
    /// Something arrives at a client.
    ToClient { client: usize, incoming: Incoming },
    /// A client looks what there is to do.
    Client { client: usize },
    /// The operator looks what there is to do.
    Operator,
    /// Whoever believes to lead is asked for a read.
    Readers,
    /// Something goes wrong.
    Trouble,
    /// Something that went wrong ends.
    Relief(Relief),
}

/// What ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relief {
    Links,
    Pace { node: usize },
    Space { node: usize },
}

/// What a client hears.
pub(super) enum Incoming {
    Reply { stream: ClientId, tag: Tag, index: Index, body: reply::Body },
    Listing { stream: ClientId, tag: Tag, index: Index, chunks: Vec<Bytes> },
    Delivery { stream: ClientId, tag: Tag, events: Vec<Bytes>, position: Position },
    Broken { stream: ClientId },
}

/// A client's connection to a node.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) client: usize,
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) is_broken: bool,
    /// When what was sent last arrives, in either direction: nothing overtakes.
    pub(super) last_arrival: [Monotonic; 2],
    /// Until when the client is at the events that left for it so far.
    pub(super) read_until: Monotonic,
}

/// A run.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: Monotonic,
    pub(super) schedule: super::schedule::Schedule<Event>,
    pub(super) dice: Dice,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    pub(super) streams: BTreeMap<ClientId, Stream>,
    pub(super) last_stream: ClientId,
    /// How many reads the stubborn readers have asked for.
    pub(super) reads_asked: Tag,
    pub(super) referee: Referee,
    pub(super) recorder: Recorder,
    pub(super) operator: Operator,
    pub(super) trace: Trace,
    pub(super) genesis: Genesis,
    /// How often each kind of fault struck.
    pub(super) struck: BTreeMap<Fault, u64>,
    pub(super) events: u64,
    /// How many answers went into the history.
    pub(super) answers: u64,
    /// Faults are over.
    pub(super) is_calm: bool,
    /// Every primitive exists.
    pub(super) is_furnished: bool,
}

impl World {
    /// A world in which every node of the first group has an identity, and knows its genesis.
    pub(super) fn new(seed: u64, trace: bool) -> Result<Self, Violation> {
        let mut dice = Dice::new(seed);
        let plan = Plan::of(&mut dice);
        Self::of(plan, dice, trace)
    }

    /// A world of a plan.
    pub(super) fn of(plan: Plan, mut dice: Dice, trace: bool) -> Result<Self, Violation> {
        let mut nodes: Vec<_> = (0..plan.replicas + plan.spares)
            .map(|_| {
                let clock = NodeClock::starting_at(Monotonic::from_nanos(dice.below(1 << 40)));
                Node::new(dice.next_u64(), clock, plan.segment_bytes)
            })
            .collect();
        let mut members = Vec::new();
        for (node, founder) in nodes.iter_mut().enumerate().take(plan.replicas) {
            let prepared = founder.home.prepare(GROUP, 0, &mut dice);
            let identity = prepared.map_err(|error| Violation::new("birth", error.to_string()))?;
            members.push(member(node, identity.member.get()));
        }
        let genesis = genesis(&plan, members)?;
        let clients = (0..plan.clients).map(|client| Client::new(client, dice.split())).collect();
        let network = Network::new(dice.split());
        let referee = Referee::new(&genesis, clock_bound(&plan))?;
        let desired = (0..plan.replicas).collect();
        Ok(Self {
            operator: Operator::new(desired),
            plan,
            now: Monotonic::from_nanos(0),
            schedule: super::schedule::Schedule::new(),
            dice,
            network,
            nodes,
            clients,
            streams: BTreeMap::new(),
            last_stream: 0,
            reads_asked: 0,
            referee,
            recorder: Recorder::default(),
            trace: Trace::new(trace),
            genesis,
            struck: BTreeMap::new(),
            events: 0,
            answers: 0,
            is_calm: false,
            is_furnished: false,
        })
    }

    /// Lets time pass until a moment.
    pub(super) fn run_until(&mut self, end: Monotonic) -> Result<(), Violation> {
        while let Some((at, event)) = self.schedule.next_until(end) {
            self.now = self.now.max(at);
            self.events += 1;
            self.happen(event)?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Turn { node, life } => self.turn(node, life),
            Event::Arrival { node, life, mail } => {
                self.arrive(node, life, mail);
                Ok(())
            }
            Event::Peer { from, to, message } => {
                self.peer_message(from, to, message);
                Ok(())
            }
            Event::Write { node, life } => self.write(node, life),
            Event::Sync { node, life } => self.sync(node, life),
            Event::Idle { node, life, syncs } => self.idle(node, life, syncs),
            Event::Save { node, life } => self.save(node, life),
            Event::Offer { from, from_life, to, message, file } => {
                self.offer(from, from_life, to, message, &file)
            }
            Event::Start { node } => self.start(node),
            Event::ToClient { client, incoming } => self.client_hears(client, incoming),
            Event::Client { client } => self.client_acts(client),
            Event::Operator => self.operate(),
            Event::Readers => {
                self.readers_ask();
                Ok(())
            }
            Event::Trouble => self.make_trouble(),
            Event::Relief(relief) => {
                self.relieve(relief);
                Ok(())
            }
        }
    }

    /// Writes a line about a node.
    pub(super) fn note(&mut self, node: usize, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, End::Node(node), what);
    }
}

/// How a member on a node describes itself.
pub(super) fn member(node: usize, id: u64) -> Member {
    let address = address(node);
    Member {
        id,
        node: address.clone(),
        peer_address: address.clone(),
        client_address: address,
        ..Member::default()
    }
}

fn address(node: usize) -> String {
    format!("node-{node}")
}

/// The node at an address.
pub(super) fn node_at(address: &str) -> Option<usize> {
    address.strip_prefix("node-")?.parse().ok()
}

fn genesis(plan: &Plan, members: Vec<Member>) -> Result<Genesis, Violation> {
    let slots = SlotTable::new(1).map_err(|error| Violation::new("birth", error.to_string()))?;
    Ok(Genesis {
        configuration: Configuration {
            group: GROUP.to_owned(),
            limits: plan.limits.clone(),
            placement: Placement { partition: PartitionId(0), slots },
            born: LogTime(1_000_000),
        },
        members,
    })
}

/// How far the clocks of a run can be trusted.
pub(super) fn clock_bound(plan: &Plan) -> ClockBound {
    let slack = if plan.has(Fault::ClockJump) {
        std::time::Duration::from_secs(1 << 20)
    } else {
        std::time::Duration::from_millis(2)
    };
    ClockBound { drift_ppm: plan.drift_ppm, slack }
}
