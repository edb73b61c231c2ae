//! A run that a test directs: nothing goes wrong but what it says, and when. The clients, the operator and the referee do
//! what they do in any run.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_protocol::{Role, raft};
use synod_replica::Admin;
use synod_storage::disk::{DiskErrorKind, Operation};
use synod_types::Limits;

use super::Report;
use super::dice::Dice;
use super::invariants::Violation;
use super::network::End;
use super::node::{Pace, Stage};
use super::plan::{Plan, Weather};
use super::world::World;

/// How long a directed run waits for what it is told to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether that is so.
const LOOK: Duration = Duration::from_millis(10);

/// What a directed run is like.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What decides about all that is left to chance: the moments at which clients ask, and what they ask.
    pub seed: u64,
    /// How many replicas there are.
    pub replicas: usize,
    /// How many nodes there are beside those that have a replica.
    pub spares: usize,
    /// How much log is applied before the next snapshot is taken.
    pub snapshot_log_bytes: u64,
}

impl Default for Setting {
    fn default() -> Self {
        Self { seed: 1, replicas: 3, spares: 0, snapshot_log_bytes: 1 << 30 }
    }
}

/// A run, from the moment when the partition works.
pub struct Directed {
    world: World,
}

/// How a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub member: u64,
    /// Its term.
    pub term: u64,
    /// It leads.
    pub leads: bool,
    /// The log index up to which it has applied.
    pub applied: u64,
    /// The log index of its last snapshot.
    pub snapshot: u64,
}

/// The outcome of every step: the promise that was broken, if one was.
pub type Step<T = ()> = Result<T, Violation>;

impl Directed {
    /// A partition that works, with clients that use all primitives.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn begin(setting: Setting) -> Step<Self> {
        let dice = Dice::new(setting.seed);
        let mut world = World::of(plan(setting), dice, false)?;
        world.play_until_furnished()?;
        Ok(Self { world })
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn run(&mut self, time: Duration) -> Step {
        self.world.run_until(self.world.now + time)
    }

    /// Lets time pass until something is so.
    ///
    /// # Errors
    /// A promise that was broken, or that it is not so within a minute.
    pub fn wait(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) -> Step {
        let deadline = self.world.now + PATIENCE;
        while !is_so(self) {
            if self.world.now > deadline {
                return Err(Violation::new("liveness", format!("not within {PATIENCE:?}: {what}")));
            }
            self.run(LOOK)?;
        }
        Ok(())
    }

    /// Waits until so many more entries are committed.
    ///
    /// # Errors
    /// As [`Directed::wait`].
    pub fn progress(&mut self, entries: u64) -> Step {
        let goal = self.committed() + entries;
        self.wait("entries are committed", |run| run.committed() >= goal)
    }

    /// Waits for a leader. Returns its node.
    ///
    /// # Errors
    /// As [`Directed::wait`].
    pub fn leader(&mut self) -> Step<usize> {
        self.wait("somebody leads", |run| run.world.leader().is_some())?;
        Ok(self.world.leader().unwrap_or_default())
    }

    /// How many entries are committed.
    pub fn committed(&self) -> u64 {
        self.world.referee.ledger.last().get()
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.world.nodes.len()
    }

    /// How the replica on a node stands; none where none is at work.
    pub fn standing(&self, node: usize) -> Option<Standing> {
        let process = self.world.nodes[node].working()?;
        let standing = process.replica.standing();
        let status = process.replica.status();
        Some(Standing {
            member: process.member.get(),
            term: standing.term.get(),
            leads: standing.role == Role::Leader,
            applied: process.replica.machine().applied().log_index.get(),
            snapshot: status.snapshot.get(),
        })
    }

    /// Whether the replica on a node has stopped for good, or could not start.
    pub fn has_failed(&self, node: usize) -> bool {
        match &self.world.nodes[node].stage {
            Stage::Running(process) => process.failed.is_some(),
            Stage::Failed => true,
            _ => false,
        }
    }

    /// The members that vote, by what is committed.
    pub fn voters(&self) -> BTreeSet<u64> {
        self.world.referee.membership().voters.iter().map(|voter| voter.get()).collect()
    }

    /// Cuts the wire from one node to another.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.world.network.cut(End::Node(from), End::Node(to));
    }

    /// Cuts a node off from all other nodes; clients reach it.
    pub fn isolate(&mut self, node: usize) {
        for other in (0..self.nodes()).filter(|other| *other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Lets no client hear a node; it hears them.
    pub fn silence(&mut self, node: usize) {
        for client in 0..self.world.clients.len() {
            self.world.network.cut(End::Node(node), End::Client(client));
        }
    }

    /// Lets a client sleep.
    pub fn pause_client(&mut self, client: usize, time: Duration) {
        self.world.clients[client].paused_until = self.world.now + time;
    }

    /// Mends all wires.
    pub fn mend(&mut self) {
        self.world.network.mend(|_, _| true);
    }

    /// Ends the process on a node after so many more effects of its replica; at once for 0. It starts again by itself.
    pub fn kill_after(&mut self, node: usize, effects: u64) {
        if effects == 0 {
            self.world.kill(node, "by the test");
        } else {
            self.world.nodes[node].effects_left = Some(effects);
        }
    }

    /// Cuts the power of a node after so many more changes of its disk; at once for 0. It starts again by itself.
    pub fn cut_power_after(&mut self, node: usize, changes: u64) {
        if changes == 0 {
            self.world.cut_power(node);
        } else {
            self.world.nodes[node].disk.power_off_after(changes);
        }
    }

    /// Lets the process on a node sleep.
    pub fn pause(&mut self, node: usize, time: Duration) {
        self.world.nodes[node].paused_until = Some(self.world.now + time);
    }

    /// Lets the nth operation of a kind on the disk of a node fail, counted from now.
    pub fn fail_disk(&mut self, node: usize, operation: Operation, nth: u64) {
        self.world.nodes[node].disk.fail_nth(operation, nth, DiskErrorKind::Io);
        self.world.nodes[node].was_refused = true;
    }

    /// From now on the disk of a node has room for so many bytes; `None`: for any number.
    pub fn limit_disk(&mut self, node: usize, bytes: Option<u64>) {
        self.world.nodes[node].disk.set_capacity_bytes(bytes);
        self.world.nodes[node].was_refused = true;
    }

    /// From now on every sync of a node takes so long.
    pub fn slow_disk(&mut self, node: usize, sync: Duration) {
        let sync_us = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
        self.world.nodes[node].pace = Pace { sync_us: (sync_us, sync_us), ..Pace::USUAL };
    }

    /// Kills a node and flips a bit in the middle of what is written in each file that it keeps, whose name the test
    /// likes. Returns in how many.
    ///
    /// # Errors
    /// A file that cannot be damaged.
    pub fn damage(&mut self, node: usize, likes: impl Fn(&str) -> bool) -> Step<usize> {
        self.kill_after(node, 0);
        let there = &mut self.world.nodes[node];
        there.is_damaged = true;
        let files = self.world.files_of(node);
        let disk = self.world.nodes[node].disk.clone();
        let mut damaged = 0;
        for file in files.iter().filter(|file| likes(&file.to_string_lossy())) {
            let contents = disk.contents(file).unwrap_or_default();
            let Some(last) = contents.iter().rposition(|byte| *byte != 0) else { continue };
            let flipped = disk.flip_bit(file, last as u64 / 2, 3);
            flipped.map_err(|error| Violation::new("damage", error.to_string()))?;
            damaged += 1;
        }
        Ok(damaged)
    }

    /// Replaces the volume of a node by an empty one.
    pub fn wipe(&mut self, node: usize) {
        self.world.wipe(node);
    }

    /// Wants a replica on one node, and none on another any more.
    pub fn replace(&mut self, leaves: usize, comes: usize) {
        self.world.operator.desired.remove(&leaves);
        self.world.operator.desired.insert(comes);
    }

    /// Asks the leader to hand over.
    pub fn transfer(&mut self) {
        if let Some(leader) = self.world.leader() {
            self.world.ask(leader, Admin::Transfer(None));
        }
    }

    /// Ends all trouble, waits until all is well, and judges what clients have seen.
    ///
    /// # Errors
    /// A promise that was broken.
    pub fn end(mut self) -> Step<Report> {
        self.world.recover()?;
        self.world.answers = self.world.recorder.answers() as u64;
        let undecided = self.world.judge()? as u64;
        Ok(Report { undecided, ..self.world.report() })
    }
}

fn plan(setting: Setting) -> Plan {
    Plan {
        replicas: setting.replicas,
        spares: setting.spares,
        clients: 4,
        faults: BTreeSet::new(),
        weather: Weather::calm(),
        trouble: Duration::ZERO,
        respite_ms: (1_000, 1_000),
        think_ms: 60,
        drift_ppm: 0,
        raft: raft::Options::default(),
        replica: synod_replica::Options {
            snapshot_log_bytes: setting.snapshot_log_bytes,
            log_tail_bytes: 0,
            ..Default::default()
        },
        limits: Limits { request_bytes: 4_096, ..Limits::default() },
        segment_bytes: 4_096 * 16,
    }
}
