//! The simulator: a whole partition in one thread, and everything that can go wrong with it.
//!
//! ```text
//!   seed ──▶ plan ──▶ world ─────────────────────────────────────────────▶ report
//!                      │  nodes: replica, log, snapshots on a simulated disk and clock
//!                      │  network, clients, operator, nemesis
//!                      │  referee: the invariants, after every step
//!                      └─ judge: liveness and the histories of clients, at the end
//! ```
//!
//! The replica's core, its protocol, its log and its home are those of the product. What stands around them in the
//! server (threads, tokio, tonic) is played by this module on simulated time: `drive` is the driver, `disk_work` the
//! writer, `streams` the session service.
//!
//! Invariants:
//! - A seed decides everything: the same seed gives the same events, byte for byte.
//! - What is broken on purpose is within what the product promises to survive: at most a minority of the voters loses
//!   what it had on disk at a time, and clocks drift by less than leases allow for. Runs in which clocks jump have no
//!   leases, and nothing in them is judged by time.
//! - A log is damaged only while it is sealed; damage to the very last records of an open one cannot be told from a
//!   write that was never finished (see `synod_storage::wal`).
//!
//! What must not go here: what a primitive means, and judgement of histories
//! ([`linearizability`](crate::linearizability), [`oracle`](crate::oracle)).

#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "part of the tests: a simulator that is wrong about itself must stop at once"
)]

mod client;
mod clock;
mod dice;
mod directed;
mod disk_work;
mod drive;
mod history;
mod invariants;
mod judge;
mod ledger;
mod lifecycle;
mod nemesis;
mod network;
mod node;
mod operator;
mod oracles;
mod plan;
mod reader;
mod referee;
mod schedule;
mod shadow;
mod streams;
mod trace;
mod watcher;
mod workload;
mod world;

pub use dice::Dice;
pub use directed::{Directed, Setting, Standing, Step};
pub use invariants::Violation;
pub use plan::Fault;

use std::collections::BTreeMap;
use std::time::Duration;

use world::World;

/// How long the partition may take to begin to work, before anything goes wrong.
const FIRST_WORK: Duration = Duration::from_secs(20);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What decided everything.
    pub seed: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// How much time has passed in the simulation.
    pub simulated: Duration,
    /// How many events there were.
    pub events: u64,
    /// How many entries were committed.
    pub entries: u64,
    /// How many answers clients got that went into the history.
    pub answers: u64,
    /// How often each kind of fault struck.
    pub struck: BTreeMap<Fault, u64>,
    /// How many changes of the membership were done.
    pub membership_changes: u64,
    /// How many partitions of the history could not be decided within the budget.
    pub undecided: u64,
    /// The event log, if it was asked for.
    pub trace: Option<String>,
}

/// Runs the simulation that a seed says; with a trace for people if they want one.
pub fn run(seed: u64, trace: bool) -> Report {
    let mut world = match World::new(seed, trace) {
        Ok(world) => world,
        Err(violation) => return Report { seed, violation: Some(violation), ..Report::default() },
    };
    let outcome = world.play();
    let (violation, undecided) = match outcome {
        Ok(undecided) => (None, undecided as u64),
        Err(violation) => (Some(violation), 0),
    };
    if let Some(violation) = &violation {
        world.trace.line(world.now, "judge", format_args!("{violation}"));
    }
    let report = world.report();
    Report { seed, violation, undecided, trace: world.trace.into_text(), ..report }
}

impl World {
    /// The whole of a run. Returns how many partitions of the history were not decided.
    fn play(&mut self) -> Result<usize, Violation> {
        let plan = format!("{:?}", self.plan);
        self.trace.line(self.now, "world", format_args!("{plan}"));
        self.play_until_furnished()?;
        let end = self.now + self.plan.trouble;
        self.run_until(end)?;
        self.recover()?;
        self.answers = self.recorder.answers() as u64;
        self.judge()
    }

    /// The beginning of a run, until every primitive exists.
    fn play_until_furnished(&mut self) -> Result<(), Violation> {
        self.begin()?;
        while !self.is_furnished {
            if self.now.since(synod_types::Monotonic::default()) > FIRST_WORK {
                return Err(Violation::new("liveness", "the partition did not begin to work"));
            }
            self.run_until(self.now + Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// What there is to say of a run that has ended.
    fn report(&self) -> Report {
        Report {
            seed: 0,
            violation: None,
            simulated: self.now.since(synod_types::Monotonic::default()),
            events: self.events,
            entries: self.referee.ledger.last().get(),
            answers: self.answers,
            struck: self.struck.clone(),
            membership_changes: self.operator.changes,
            undecided: 0,
            trace: None,
        }
    }
}
