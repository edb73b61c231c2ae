//! What a seed makes of a run: how many replicas, which faults, how small the thresholds.
//!
//! Each run has some kinds of faults and not others: runs in which everything happens at once all look alike, and some
//! bugs need one kind to be absent.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_protocol::raft;
use synod_types::Limits;

use super::dice::Dice;

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// How often a message is lost, in a million.
    pub(super) loss_ppm: u32,
    /// How often a message arrives twice.
    pub(super) duplication_ppm: u32,
    /// The usual delay: from, to. When it varies by more than messages are apart, they overtake each other.
    pub(super) delay_us: (u64, u64),
    /// How often a message is late.
    pub(super) late_ppm: u32,
    /// By how much at most.
    pub(super) late_ms: u64,
}

impl Weather {
    /// A network at its best.
    pub(super) const fn calm() -> Self {
        Self { loss_ppm: 0, duplication_ppm: 0, delay_us: (50, 300), late_ppm: 0, late_ms: 1 }
    }
}

/// Declares the kinds of faults with their names.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];

            /// Its name, in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// Messages are lost.
    Loss = "loss",
    /// Messages arrive twice.
    Duplication = "duplication",
    /// Messages overtake each other.
    Reordering = "reordering",
    /// Messages are late.
    Delay = "delay",
    /// A group of nodes is cut off from the others.
    Partition = "partition",
    /// Links are cut in one direction.
    OneWayPartition = "one-way partition",
    /// Links are cut so that who reaches whom is not transitive.
    PartialPartition = "partial partition",
    /// A process ends between two effects.
    Kill = "kill",
    /// The power of some nodes goes: what was not synced is lost.
    PowerCut = "power cut",
    /// The power goes in the middle of work on the disk.
    TornWrite = "torn write",
    /// Writing fails.
    WriteError = "write error",
    /// A sync fails.
    SyncError = "sync error",
    /// The disk is full.
    NoSpace = "no space",
    /// A bit on the disk flips.
    BitFlip = "bit flip",
    /// A file is cut.
    Truncation = "truncation",
    /// A disk is slow.
    SlowDisk = "slow disk",
    /// A node is slow.
    SlowNode = "slow node",
    /// Clocks run at different speeds.
    ClockDrift = "clock drift",
    /// Clocks jump, back as well.
    ClockJump = "clock jump",
    /// A process sleeps, and wakes with old beliefs.
    Pause = "pause",
    /// A connection breaks, and the other end is taken for dead.
    FalseAlarm = "false alarm",
    /// Leadership is handed over.
    Transfer = "transfer",
    /// Members come and go.
    Membership = "membership",
    /// A volume is wiped; its node comes back as a new member.
    Wipe = "wipe",
    /// A client gives up a request that may still be executed.
    Abandon = "abandoned request",
    /// A request arrives once more, much later.
    LateDuplicate = "late duplicate",
    /// A client sleeps for longer than its session lasts.
    ClientPause = "client pause",
}

/// How a run goes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) replicas: usize,
    /// Nodes beside those that have a replica at first.
    pub(super) spares: usize,
    pub(super) clients: usize,
    pub(super) faults: BTreeSet<Fault>,
    pub(super) weather: Weather,
    /// For how long things go wrong.
    pub(super) trouble: Duration,
    /// How long nothing goes wrong between two faults: from, to, in milliseconds.
    pub(super) respite_ms: (u64, u64),
    /// How long clients think between two requests, at most.
    pub(super) think_ms: u64,
    /// The most that a clock runs too fast or too slow, in millionths.
    pub(super) drift_ppm: u32,
    pub(super) raft: raft::Options,
    pub(super) replica: synod_replica::Options,
    pub(super) limits: Limits,
    pub(super) segment_bytes: u64,
}

impl Plan {
    /// What a seed says.
    pub(super) fn of(dice: &mut Dice) -> Self {
        let faults = choose_faults(dice);
        let has = |fault| faults.contains(&fault);
        let weather = Weather {
            loss_ppm: if has(Fault::Loss) { 10_000 * dice.between(1, 20) as u32 } else { 0 },
            duplication_ppm: if has(Fault::Duplication) { 10_000 * dice.between(1, 20) as u32 } else { 0 },
            delay_us: (50, if has(Fault::Reordering) { dice.between(2_000, 60_000) } else { 300 }),
            late_ppm: if has(Fault::Delay) { 10_000 * dice.between(1, 10) as u32 } else { 0 },
            late_ms: dice.between(20, 2_000),
        };
        let drift_ppm = if has(Fault::ClockDrift) { 1_000 * dice.between(1, 45) as u32 } else { 0 };
        let mut raft = raft::Options { append_bytes_max: dice.between(256, 8_192), ..Default::default() };
        raft.appends_in_flight_max = dice.between(2, 64) as usize;
        if has(Fault::ClockJump) {
            // Leases count on clocks that do not jump.
            raft.lease = Duration::ZERO;
        }
        Self {
            replicas: if dice.one_in(3) { 5 } else { 3 },
            spares: if has(Fault::Membership) { 2 } else { 0 },
            clients: dice.between(2, 5) as usize,
            weather,
            trouble: dice.ms(5_000, 30_000),
            respite_ms: (dice.between(10, 300), dice.between(400, 3_000)),
            think_ms: dice.between(20, 400),
            drift_ppm,
            raft,
            replica: replica_options(dice),
            limits: Limits {
                request_bytes: 4_096,
                history_changes: dice.between(10, 300),
                session_results: dice.between(8, 100),
                ..Limits::default()
            },
            segment_bytes: 4_096 * dice.between(4, 16),
            faults,
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

/// Some kinds of faults, in some runs hardly any.
fn choose_faults(dice: &mut Dice) -> BTreeSet<Fault> {
    let one_in = dice.between(1, 6);
    let chosen = Fault::ALL.iter().copied().filter(|_| dice.below(6) < one_in);
    chosen.collect()
}

fn replica_options(dice: &mut Dice) -> synod_replica::Options {
    synod_replica::Options {
        batch_bytes_max: dice.between(200, 4_096) as usize,
        snapshot_log_bytes: dice.between(1_000, 20_000),
        log_tail_bytes: dice.between(0, 4_000),
        // The smallest is less than one event: whoever has not read it is behind.
        events_in_flight_bytes_max: dice.between(1, 600) as usize,
        progress_interval: dice.ms(200, 3_000),
        ..Default::default()
    }
}
