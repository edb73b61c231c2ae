//! How processes begin and end.

use std::time::Duration;

use synod_node::LogWriter;
use synod_protocol::raft::Raft;
use synod_replica::Replica;
use synod_storage::identity::{Identity, Stage as Life};

use super::invariants::{Check, Violation};
use super::node::{Mail, Node, Process, Stage};
use super::world::{Event, World};

impl World {
    /// Begins the life of the partition on its first nodes, and starts everything that moves.
    pub(super) fn begin(&mut self) -> Check {
        for node in 0..self.plan.replicas {
            let identity = self.nodes[node].home.identity().ok().flatten();
            let Some(identity) = identity else { continue };
            let born = self.nodes[node].home.bootstrap(&identity, &self.genesis, &mut self.dice);
            born.map_err(|error| Violation::new("birth", error.to_string()))?;
            self.nodes[node].data_of = Some(identity.member);
        }
        for node in 0..self.nodes.len() {
            let at = self.now + self.dice.ms(0, 300);
            self.schedule.at(at, Event::Start { node });
        }
        for client in 0..self.clients.len() {
            let at = self.now + self.dice.ms(0, 100);
            self.schedule.at(at, Event::Client { client });
        }
        self.schedule.at(self.now + Duration::from_millis(500), Event::Operator);
        self.schedule.at(self.now + Duration::from_secs(1), Event::Readers);
        Ok(())
    }

    /// Plans the start of the process of a node that is down.
    pub(super) fn plan_start(&mut self, node: usize, wait: Duration) {
        self.schedule.at(self.now + wait, Event::Start { node });
    }

    pub(super) fn start(&mut self, node: usize) -> Check {
        if !matches!(self.nodes[node].stage, Stage::Down) {
            return Ok(());
        }
        self.nodes[node].life += 1;
        self.nodes[node].enter_home();
        match self.nodes[node].home.identity() {
            Ok(None) => self.nodes[node].stage = Stage::Blank,
            Ok(Some(identity)) if identity.stage == Life::Waiting => {
                self.nodes[node].stage = Stage::Waiting(identity);
            }
            Ok(Some(identity)) => return self.open(node, &identity),
            Err(error) => return self.cannot_start(node, &error.to_string()),
        }
        self.note(node, format_args!("starts without data"));
        Ok(())
    }

    /// Starts a replica that holds data.
    pub(super) fn open(&mut self, node: usize, identity: &Identity) -> Check {
        let opened = match self.nodes[node].home.open(identity) {
            Ok(opened) => opened,
            Err(error) => return self.cannot_start(node, &error.to_string()),
        };
        if self.cut_power_if_off(node) {
            return Ok(());
        }
        self.referee.started(identity.member, &opened.start)?;
        let local = self.nodes[node].clock.read(self.now);
        let (last, snapshot) = (opened.start.entries.last().map(|entry| entry.index), opened.snapshot.index);
        let member = identity.member;
        self.note(
            node,
            format_args!("starts as member {member}: snapshot at {snapshot}, log up to {last:?}"),
        );
        let protocol = match Raft::new(local, member, self.plan.raft.clone(), opened.start) {
            Ok(protocol) => protocol,
            Err(refused) => return self.cannot_start(node, &refused.to_string()),
        };
        let replica = Replica::new(
            local,
            member,
            self.plan.replica.clone(),
            Box::new(protocol),
            opened.machine,
            opened.snapshot,
            opened.snapshot_bytes,
        );
        let process = Process::new(member, replica, LogWriter::new(opened.wal));
        self.nodes[node].data_of = Some(member);
        self.nodes[node].stage = Stage::Running(Box::new(process));
        self.plan_turn(node, self.now + Duration::from_micros(50));
        Ok(())
    }

    /// A process is there and its replica is not. Only damage and a disk that refuses may be the reason.
    fn cannot_start(&mut self, node: usize, why: &str) -> Check {
        if self.cut_power_if_off(node) {
            return Ok(());
        }
        self.note(node, format_args!("cannot start: {why}"));
        let there = &mut self.nodes[node];
        if !there.is_damaged && !there.was_refused {
            let what = format!("node {node} cannot start on an undamaged disk: {why}");
            return Err(Violation::new("restart", what));
        }
        there.stage = Stage::Failed;
        Ok(())
    }

    /// The process ends; the machine goes on.
    pub(super) fn kill(&mut self, node: usize, how: &str) {
        let wait = self.dice.ms(10, 3_000);
        self.kill_for(node, how, wait);
    }

    /// The same, and the next process starts after this time.
    pub(super) fn kill_for(&mut self, node: usize, how: &str, wait: Duration) {
        self.note(node, format_args!("is killed {how}"));
        self.end(node);
        self.nodes[node].disk.kill();
        // The others' connections are reset by the machine, unless that is lost as well.
        for other in 0..self.nodes.len() {
            let ends = (super::network::End::Node(node), super::network::End::Node(other));
            if other != node
                && let [Some(delay), _] = self.network.send(ends.0, ends.1)
            {
                let mail = Mail::PeerLost(node);
                self.schedule.at(self.now + delay, Event::Arrival { node: other, life: None, mail });
            }
        }
        self.plan_start(node, wait);
    }

    /// The power goes: the process ends, and what was not synced is lost.
    pub(super) fn cut_power(&mut self, node: usize) {
        self.note(node, format_args!("loses its power"));
        self.end(node);
        self.nodes[node].disk.crash();
        let wait = self.dice.ms(100, 5_000);
        self.plan_start(node, wait);
    }

    /// Ends the process if its disk has lost its power; tells whether that is so.
    pub(super) fn cut_power_if_off(&mut self, node: usize) -> bool {
        let is_off = self.nodes[node].disk.is_off();
        if is_off {
            self.cut_power(node);
        }
        is_off
    }

    /// The volume of a node is replaced by an empty one.
    pub(super) fn wipe(&mut self, node: usize) {
        self.note(node, format_args!("is wiped"));
        self.end(node);
        let seed = self.dice.below(u64::MAX);
        self.nodes[node].replace_disk(seed);
        let wait = self.dice.ms(50, 2_000);
        self.plan_start(node, wait);
    }

    /// The process of a node is no more.
    pub(super) fn end(&mut self, node: usize) {
        let there: &mut Node = &mut self.nodes[node];
        if let Some(process) = there.process() {
            self.referee.ended(process.member);
        }
        there.was_sealed = there.is_sealed();
        there.stage = Stage::Down;
        there.life += 1;
        there.paused_until = None;
        there.effects_left = None;
        self.break_streams_of(node);
    }
}
