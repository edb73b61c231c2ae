//! A node: its machine, which stays, and the process on it, which comes and goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use synod_node::{Home, LogWriter, Write};
use synod_protocol::Message;
use synod_replica::{Admin, ClientId, Input, Replica, SnapshotJob};
use synod_storage::disk::SimDisk;
use synod_storage::identity::Identity;
use synod_types::{MemberId, Monotonic};

use super::clock::NodeClock;

/// Where the replica lives on every node.
const DIRECTORY: &str = "/data/replicas/default/simulated/0";

/// How fast a machine is at the moment, in microseconds: from, to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long mail waits until the replica's thread takes it.
    pub(super) turn_us: (u64, u64),
    /// How long a sync takes.
    pub(super) sync_us: (u64, u64),
}

impl Pace {
    pub(super) const USUAL: Self = Self { turn_us: (5, 60), sync_us: (80, 1_500) };
}

/// A machine with a disk and a clock.
pub(super) struct Node {
    pub(super) disk: SimDisk,
    pub(super) home: Arc<Home>,
    segment_bytes: u64,
    pub(super) clock: NodeClock,
    pub(super) pace: Pace,
    pub(super) stage: Stage,
    /// Counts processes: what was planned for an earlier one concerns nobody.
    pub(super) life: u64,
    /// The process sleeps until then.
    pub(super) paused_until: Option<Monotonic>,
    /// When the last of what waits in its sockets is read.
    pub(super) backlog_until: Monotonic,
    /// The process ends after so many more effects.
    pub(super) effects_left: Option<u64>,
    /// Whose data the disk has.
    pub(super) data_of: Option<MemberId>,
    /// Somebody has damaged what was durable: it must not be counted on.
    pub(super) is_damaged: bool,
    /// The log was sealed when the last process ended.
    pub(super) was_sealed: bool,
    /// Its disk has refused something: a start may fail without being anybody's fault.
    pub(super) was_refused: bool,
}

/// What runs on a node.
pub(super) enum Stage {
    /// Nothing: the process is gone.
    Down,
    /// A process that has no identity.
    Blank,
    /// A process that has one, and no data.
    Waiting(Identity),
    /// A replica.
    Running(Box<Process>),
    /// A process that could not start its replica.
    Failed,
}

/// What reaches the thread of a replica.
pub(super) enum Mail {
    Input(Input),
    /// From another node.
    Message(Message, usize),
    Request(ClientId, synod_proto::session::v1::Request),
    PeerLost(usize),
    Admin(u64, Admin),
}

/// A replica that runs.
pub(super) struct Process {
    pub(super) member: MemberId,
    pub(super) replica: Replica,
    /// Gone once it has failed.
    pub(super) log: Option<LogWriter>,
    pub(super) writes: Vec<Write>,
    pub(super) is_writing: bool,
    /// Counts syncs, so that idleness is told from work.
    pub(super) syncs: u64,
    /// The log is sealed: damage to any record is found.
    pub(super) is_sealed: bool,
    pub(super) inbox: Vec<Mail>,
    pub(super) turn_at: Option<Monotonic>,
    pub(super) addresses: BTreeMap<MemberId, usize>,
    pub(super) newcomers: BTreeMap<MemberId, usize>,
    pub(super) saving: Option<SnapshotJob>,
    pub(super) streams: BTreeSet<ClientId>,
    /// The replica has stopped for good, for this reason.
    pub(super) failed: Option<String>,
    /// Turns for nothing, since this moment.
    pub(super) idle_turns: (Monotonic, u32),
}

impl Process {
    pub(super) fn new(member: MemberId, replica: Replica, log: LogWriter) -> Self {
        Self {
            member,
            replica,
            log: Some(log),
            writes: Vec::new(),
            is_writing: false,
            syncs: 0,
            is_sealed: false,
            inbox: Vec::new(),
            turn_at: None,
            addresses: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            saving: None,
            streams: BTreeSet::new(),
            failed: None,
            idle_turns: (Monotonic::default(), 0),
        }
    }
}

impl Node {
    pub(super) fn new(seed: u64, clock: NodeClock, segment_bytes: u64) -> Self {
        let disk = SimDisk::new(seed);
        Self {
            home: home(&disk, segment_bytes),
            disk,
            segment_bytes,
            clock,
            pace: Pace::USUAL,
            stage: Stage::Down,
            life: 0,
            paused_until: None,
            backlog_until: Monotonic::default(),
            effects_left: None,
            data_of: None,
            is_damaged: false,
            was_sealed: false,
            was_refused: false,
        }
    }

    /// A new process finds the home as the disk has it.
    pub(super) fn enter_home(&mut self) {
        self.home = home(&self.disk, self.segment_bytes);
    }

    /// The volume is replaced by an empty one.
    pub(super) fn replace_disk(&mut self, seed: u64) {
        self.disk = SimDisk::new(seed);
        self.data_of = None;
        self.is_damaged = false;
        self.was_refused = false;
        self.enter_home();
    }

    pub(super) fn process(&self) -> Option<&Process> {
        match &self.stage {
            Stage::Running(process) => Some(process),
            _ => None,
        }
    }

    pub(super) fn process_mut(&mut self) -> Option<&mut Process> {
        match &mut self.stage {
            Stage::Running(process) => Some(process),
            _ => None,
        }
    }

    /// Whether damage to any record of the log is found: it is sealed, or was when its process ended.
    pub(super) fn is_sealed(&self) -> bool {
        self.process().map_or(self.was_sealed, |process| process.is_sealed)
    }

    /// The replica, unless it has stopped.
    pub(super) fn working(&self) -> Option<&Process> {
        self.process().filter(|process| process.failed.is_none())
    }

    /// Who lives here, as far as the process knows.
    pub(super) fn member(&self) -> Option<MemberId> {
        match &self.stage {
            Stage::Running(process) => Some(process.member),
            Stage::Waiting(identity) => Some(identity.member),
            Stage::Down | Stage::Blank | Stage::Failed => None,
        }
    }
}

fn home(disk: &SimDisk, segment_bytes: u64) -> Arc<Home> {
    Arc::new(Home::new(Arc::new(disk.clone()), PathBuf::from(DIRECTORY), segment_bytes))
}
