//! The thread of a replica: takes its mail, lets the core work, carries out the effects. What the driver of the server
//! does, on simulated time.

use std::time::Duration;

use synod_node::Write;
use synod_primitives::ScanChunks;
use synod_protocol::Message;
use synod_protocol::raft;
use synod_replica::{ClientId, Effect, Input, Tag, wire};
use synod_types::{Index, MemberId, Monotonic};

use super::invariants::{Check, Violation};
use super::network::End;
use super::node::{Mail, Process, Stage};
use super::referee::Step;
use super::world::{Event, Incoming, World, node_at};

/// A thread that has something to do at once is not faster than this.
const TURN: Duration = Duration::from_micros(20);

/// The most turns for nothing in a second. A few for each tick are usual.
const IDLE_TURNS_MAX: u32 = 500;

/// The most members that are not known yet whose addresses are kept.
const NEWCOMERS_MAX: usize = 16;

impl World {
    /// The process that was meant, if it still runs.
    pub(super) fn living(
        &mut self,
        node: usize,
        life: u64,
    ) -> Option<(&mut Process, &mut super::dice::Dice)> {
        let there = &mut self.nodes[node];
        if there.life != life {
            return None;
        }
        there.process_mut().map(|process| (process, &mut self.dice))
    }

    /// Plans the next turn of a replica, no later than `at`.
    pub(super) fn plan_turn(&mut self, node: usize, at: Monotonic) {
        let there = &mut self.nodes[node];
        let life = there.life;
        let at = at.max(there.paused_until.unwrap_or_default());
        let Some(process) = there.process_mut() else { return };
        if process.turn_at.is_none_or(|planned| at < planned) {
            process.turn_at = Some(at);
            self.schedule.at(at, Event::Turn { node, life });
        }
    }

    /// Puts mail into the box of a replica.
    pub(super) fn arrive(&mut self, node: usize, life: Option<u64>, mail: Mail) {
        let there = &mut self.nodes[node];
        if life.is_some_and(|life| life != there.life) {
            return;
        }
        if let (Some(until), Mail::Message(..)) =
            (there.paused_until.filter(|until| *until > self.now), &mail)
        {
            let (life, at) = (Some(there.life), self.next_from_socket(node, until));
            return self.schedule.at(at, Event::Arrival { node, life, mail });
        }
        let (from, to) = there.pace.turn_us;
        let wait = Duration::from_micros(self.dice.between(from, to));
        let Some(process) = there.process_mut() else { return };
        process.inbox.push(mail);
        self.plan_turn(node, self.now + wait);
    }

    /// What others send to a process that sleeps waits in its sockets, and comes one after another when it wakes up.
    fn next_from_socket(&mut self, node: usize, wakes_at: Monotonic) -> Monotonic {
        let gap = if self.dice.one_in(8) { self.dice.ms(0, 40) } else { Duration::from_micros(1) };
        let backlog_until = &mut self.nodes[node].backlog_until;
        *backlog_until = wakes_at.max(*backlog_until) + gap;
        *backlog_until
    }

    pub(super) fn turn(&mut self, node: usize, life: u64) -> Check {
        let (now, there) = (self.now, &mut self.nodes[node]);
        if there.life != life {
            return Ok(());
        }
        let local = there.clock.read(now);
        let clock = there.clock.clone();
        let Some(process) = there.process_mut() else { return Ok(()) };
        if process.turn_at != Some(now) {
            return Ok(());
        }
        process.turn_at = None;
        let membership = process.replica.machine().members().membership().clone();
        let has_mail = !process.inbox.is_empty();
        for mail in std::mem::take(&mut process.inbox) {
            match &mail {
                Mail::Input(Input::Persisted(token)) => self.referee.persisted(process.member, *token),
                Mail::Request(client, request) => self.referee.asked(process.member, *client, request),
                _ => {}
            }
            process.open(local, mail);
        }
        let effects = process.replica.flush(local);
        // Without leases nobody reads without asking; clocks that jump make their ends look valid.
        let has_lease = !self.plan.has(super::plan::Fault::ClockJump);
        let step = Step {
            now,
            member: process.member,
            replica: &process.replica,
            effects: &effects,
            membership: &membership,
            lease_until: process
                .replica
                .lease_until()
                .filter(|until| has_lease && *until > local)
                .map(|until| clock.when(until)),
        };
        // A replica that has failed in this turn has not said all that it did.
        if !effects.iter().any(|effect| matches!(effect, Effect::Failed(_))) && process.failed.is_none() {
            self.referee.observe(&step)?;
        }
        if !has_mail && effects.is_empty() {
            process.check_sleep(now, local)?;
        }
        let deadline = clock.when(process.replica.deadline());
        self.carry_out(node, effects);
        self.plan_turn(node, deadline.max(now + TURN));
        Ok(())
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            if let Some(left) = &mut self.nodes[node].effects_left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return self.kill(node, "between two effects");
                }
            }
            self.carry_out_one(node, effect);
        }
    }

    fn carry_out_one(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Persist(persist) => self.push_write(node, Write::Persist(persist)),
            Effect::TruncateLog(index, term) => self.push_write(node, Write::Truncate(index, term)),
            Effect::Send(to, message) => self.send(node, to, message),
            Effect::SendSnapshot(to, message) => self.send_snapshot(node, to, message),
            Effect::SaveSnapshot(job) => self.begin_save(node, job),
            Effect::Reply { client, tag, index, body } => {
                let incoming = Incoming::Reply { stream: client, tag, index, body };
                self.send_to_client(client, incoming);
            }
            Effect::Scan { client, tag, index, chunks } => self.list(client, tag, index, chunks),
            Effect::Deliver { client, tag, events, position } => {
                let bytes = events.iter().map(bytes::Bytes::len).sum();
                let count = events.len();
                self.note(
                    node,
                    format_args!("delivers {count} events up to {position} to watch {tag} of {client}"),
                );
                self.send_to_client(client, Incoming::Delivery { stream: client, tag, events, position });
                self.read_events(node, client, bytes);
            }
            Effect::AdminReply(request, answer) => {
                self.note(node, format_args!("answers the operator's request {request}: {answer:?}"));
                self.operator.answered(request, &answer);
            }
            Effect::Members(members) => {
                let Some(process) = self.nodes[node].process_mut() else { return };
                let known = members
                    .iter()
                    .filter_map(|member| Some((MemberId(member.id), node_at(&member.peer_address)?)));
                process.addresses = known.collect();
                process.newcomers.clear();
            }
            Effect::Role { role, term, leader } => {
                self.note(node, format_args!("is {role:?} in term {term}, led by {leader:?}"));
            }
            Effect::Failed(error) => {
                self.note(node, format_args!("fails: {error}"));
                let Some(process) = self.nodes[node].process_mut() else { return };
                process.failed = Some(error.to_string());
                process.log = None;
            }
        }
    }

    /// Reads a scan and sends all of it.
    fn list(&mut self, stream: ClientId, tag: Tag, index: Index, mut scan: ScanChunks) {
        let mut chunks = Vec::new();
        while let Ok(Some(chunk)) = scan.next_chunk() {
            chunks.push(chunk);
        }
        self.send_to_client(stream, Incoming::Listing { stream, tag, index, chunks });
    }

    fn send(&mut self, node: usize, to: MemberId, message: Message) {
        let Some(process) = self.nodes[node].process() else { return };
        let known = process.addresses.get(&to).or_else(|| process.newcomers.get(&to));
        let Some(there) = known.copied() else { return };
        self.send_peer(node, there, message);
    }

    /// Sends a message to a node, in the form that it has on the wire.
    pub(super) fn send_peer(&mut self, from: usize, to: usize, message: Message) {
        let arrivals = self.network.send(End::Node(from), End::Node(to));
        if arrivals == [None, None] {
            return;
        }
        let message = wire::message_to_wire(message);
        for delay in arrivals.into_iter().flatten() {
            if let Ok(message) = wire::message_from_wire(message.clone()) {
                self.schedule.at(self.now + delay, Event::Peer { from, to, message });
            }
        }
    }

    /// A message arrives at a node: for its replica, or for one that waits and can only say that it has nothing.
    pub(super) fn peer_message(&mut self, from: usize, to: usize, message: Message) {
        if self.network.is_cut(End::Node(from), End::Node(to)) {
            return;
        }
        let Message::Raft(raft) = &message;
        self.trace.line(
            self.now,
            End::Node(to),
            format_args!(
                "is sent by node-{from}: kind {} term {} index {} of {} entries {} commit {} reject {}",
                raft.kind,
                raft.term,
                raft.index,
                raft.log_term,
                raft.entries.len(),
                raft.commit,
                raft.reject
            ),
        );
        match &self.nodes[to].stage {
            Stage::Running(process) if process.member == raft.to => {
                self.arrive(to, None, Mail::Message(message, from));
            }
            Stage::Waiting(identity) if identity.member == raft.to => {
                if let Some(answer) = raft::answer_without_log(raft) {
                    self.send_peer(to, from, Message::Raft(answer));
                }
            }
            _ => {}
        }
    }
}

impl Process {
    /// A replica that has nothing to do sleeps until its deadline: a thread that asks for one turn after another, and does
    /// nothing in them, takes the processor from all others.
    fn check_sleep(&mut self, now: Monotonic, local: Monotonic) -> Check {
        let (since, turns) = &mut self.idle_turns;
        if now.since(*since) > Duration::from_secs(1) {
            (*since, *turns) = (now, 0);
        }
        *turns += 1;
        if *turns <= IDLE_TURNS_MAX {
            return Ok(());
        }
        let (deadline, role) = (self.replica.deadline(), self.replica.standing().role);
        let what = format!(
            "member {}, {role:?}, has had {turns} turns for nothing since {since:?}; it wants one at {deadline:?}, and it is {local:?} there",
            self.member
        );
        Err(Violation::new("sleep", what))
    }

    /// Hands mail to the core.
    fn open(&mut self, local: Monotonic, mail: Mail) {
        match mail {
            Mail::Input(input) => self.replica.handle(local, input),
            Mail::Message(message, from) => {
                let Message::Raft(raft) = &message;
                self.note_newcomer(raft.from, from);
                self.replica.handle(local, Input::Message(message));
            }
            Mail::Request(client, request) => {
                self.streams.insert(client);
                self.replica.handle(local, Input::Request(client, request));
            }
            Mail::PeerLost(node) => {
                let lost = self.addresses.iter().filter(|(_, at)| **at == node);
                for member in lost.map(|(member, _)| *member).collect::<Vec<_>>() {
                    self.replica.handle(local, Input::PeerLost(member));
                }
            }
            Mail::Admin(request, admin) => self.replica.handle(local, Input::Admin(request, admin)),
        }
    }

    /// A leader may be one that this replica, which lags behind, does not know: it must be answered to catch up.
    fn note_newcomer(&mut self, member: MemberId, from: usize) {
        if self.addresses.contains_key(&member) {
            return;
        }
        if self.newcomers.len() >= NEWCOMERS_MAX {
            self.newcomers.clear();
        }
        self.newcomers.insert(member, from);
    }
}
