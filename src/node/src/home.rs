//! The place where a replica lives: its identity, its log and its snapshots in one directory, and what becomes of
//! them at birth, at a start, and when a snapshot is saved or received.
//!
//! ```text
//!  <data>/replicas/<namespace>/<group>/<partition>/
//!      identity        who the replica is, and whether it holds data
//!      log/            the write-ahead log
//!      snapshots/      the newest two snapshots
//! ```
//!
//! Everything here is synchronous and goes through a [`Disk`], so the simulator uses it as it is.

mod recovery;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use synod_protocol::raft::Start;
use synod_protocol::{HardState, SnapshotMetadata};
use synod_replica::machine::Machine;
use synod_replica::{Found, Genesis, History, SnapshotJob, recover};
use synod_storage::disk::{Disk, DiskError, DiskErrorKind, Operation};
use synod_storage::identity::{Identity, IdentityError, Stage};
use synod_storage::snapshot::{
    Progress, SnapshotError, SnapshotFile, SnapshotId, SnapshotMeta, SnapshotReader, SnapshotStore,
};
use synod_storage::state::{Fault, MemoryStore, StateStore as _};
use synod_storage::wal::{self, Batch, SnapshotMark, Wal, WalError, WalOptions};
use synod_types::{Error, ErrorCode, MemberId, Random};

use crate::log::from_record;

/// The section of a snapshot that holds the history.
const HISTORY_SECTION: u8 = 128;

/// How many bytes of a snapshot are written in one step, between which a writer may pause.
const SNAPSHOT_STEP_BYTES: u64 = 1 << 20;

/// How many snapshots are kept.
const SNAPSHOTS_KEPT: usize = 2;

/// Why a replica cannot live here.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] WalError),
    /// A snapshot failed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] Fault),
    /// What is here does not fit together.
    #[error(transparent)]
    Contradiction(#[from] Error),
}

impl From<HomeError> for Error {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::Contradiction(error) => error,
            HomeError::Log(WalError::Disk(disk)) if disk.kind == DiskErrorKind::Locked => {
                Self::new(ErrorCode::Unavailable, disk.to_string())
            }
            HomeError::Log(WalError::Disk(disk) | WalError::Poisoned { cause: disk })
            | HomeError::Disk(disk)
            | HomeError::Identity(IdentityError::Disk(disk))
            | HomeError::Snapshot(SnapshotError::Disk(disk))
                if wants_room(&disk) =>
            {
                Self::new(ErrorCode::ResourceExhausted, format!("the disk is full: {disk}"))
            }
            HomeError::Log(WalError::Disk(disk)) => {
                Self::new(ErrorCode::Corrupt, format!("the disk failed: {disk}"))
            }
            other => Self::new(ErrorCode::Corrupt, other.to_string()),
        }
    }
}

/// Whether room is all that was missing, so that whoever opens again what is on the disk finds all that was acknowledged.
/// That cannot be said of a sync: what it did not write may be read all the same, and be gone after the next crash.
fn wants_room(error: &DiskError) -> bool {
    error.kind == DiskErrorKind::NoSpace
        && !matches!(error.operation, Operation::SyncData | Operation::SyncDir)
}

/// What a replica finds when it starts.
pub struct Opened {
    /// Its log, open for writing.
    pub wal: Wal,
    /// Its state, as of `snapshot`.
    pub machine: Machine,
    /// For the protocol.
    pub start: Start,
    /// Where the newest snapshot stands.
    pub snapshot: SnapshotMetadata,
    /// The size of its file.
    pub snapshot_bytes: u64,
}

/// The directory of one replica.
pub struct Home {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// Opened once: opening removes what is unfinished.
    snapshots: Mutex<Option<Arc<SnapshotStore>>>,
}

impl Home {
    /// The home of a replica. Nothing is read or written yet.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf, segment_bytes: u64) -> Self {
        Self { disk, dir, segment_bytes, snapshots: Mutex::new(None) }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who lives here; nobody if the home is new, or was wiped.
    ///
    /// # Errors
    /// When there is an identity and it cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, HomeError> {
        if !self.disk.exists(&self.dir)? {
            return Ok(None);
        }
        Ok(Identity::read(&*self.disk, &self.dir)?)
    }

    /// Gives a new replica a fresh identity, durably. It then waits to be bootstrapped or to get a snapshot.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(
        &self,
        group: &str,
        partition: u32,
        random: &mut dyn Random,
    ) -> Result<Identity, HomeError> {
        let (member, stage) = (draw(random), Stage::Waiting);
        let identity = Identity { group: group.to_owned(), partition: partition.into(), member, stage };
        self.disk.create_dir_all(&self.dir)?;
        identity.write(&*self.disk, &self.dir)?;
        Ok(identity)
    }

    /// Writes the beginning of a partition, durably. What an earlier attempt left is replaced: a replica that still
    /// waits has taken part in nothing.
    ///
    /// # Errors
    /// When the disk refuses; the replica still waits then.
    pub fn bootstrap(
        &self,
        identity: &Identity,
        genesis: &Genesis,
        random: &mut dyn Random,
    ) -> Result<(), HomeError> {
        self.clear()?;
        let mut store = MemoryStore::default();
        genesis.write(&mut store)?;
        let metadata = genesis.metadata();
        let job =
            SnapshotJob { metadata: metadata.clone(), state: store.snapshot(), history: History::default() };
        self.save_snapshot(job, || {})?;
        self.begin(identity, &metadata, random)
    }

    /// Takes the first snapshot of a replica that joins, durably: from now on it holds data.
    ///
    /// # Errors
    /// When the disk refuses; the replica still waits then.
    pub fn join(
        &self,
        identity: &Identity,
        metadata: &SnapshotMetadata,
        random: &mut dyn Random,
    ) -> Result<(), HomeError> {
        self.clear_log()?;
        self.begin(identity, metadata, random)
    }

    /// Begins the log after a snapshot that is here, then says in the identity that there is data.
    fn begin(
        &self,
        identity: &Identity,
        metadata: &SnapshotMetadata,
        random: &mut dyn Random,
    ) -> Result<(), HomeError> {
        let disk = self.disk.clone();
        let mut wal =
            Wal::create(disk, &self.log_dir(), random.next_u64(), self.wal_options(identity.member))?;
        let mark = SnapshotMark { index: metadata.index, term: metadata.term };
        wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() })?;
        wal.seal()?;
        let settled = Identity { stage: Stage::HoldsData, ..identity.clone() };
        settled.write(&*self.disk, &self.dir)?;
        Ok(())
    }

    /// Deletes everything, durably. The identity goes last: one that holds no data is never taken for a blank home.
    ///
    /// # Errors
    /// When the disk refuses; some of it may be gone then.
    pub fn discard(&self) -> Result<(), HomeError> {
        self.clear()?;
        Identity::remove(&*self.disk, &self.dir)?;
        Ok(())
    }

    /// Removes the log and all snapshots.
    fn clear(&self) -> Result<(), HomeError> {
        self.clear_log()?;
        self.snapshots()?.prune(0)?;
        Ok(())
    }

    fn clear_log(&self) -> Result<(), HomeError> {
        let dir = self.log_dir();
        if self.disk.exists(&dir)? {
            for name in self.disk.list(&dir)? {
                self.disk.remove(&dir.join(name))?;
            }
            self.disk.sync_dir(&dir)?;
        }
        Ok(())
    }

    /// Reads everything that a replica which holds data needs to start.
    ///
    /// # Errors
    /// When anything durable is damaged or missing: the replica must not take part, and is to be replaced.
    pub fn open(&self, identity: &Identity) -> Result<Opened, HomeError> {
        let newest = self.snapshots()?.newest()?;
        let options = self.wal_options(identity.member);
        let (mut wal, recovered) = Wal::open(self.disk.clone(), &self.log_dir(), options)?;
        let Some(reader) = newest.reader else {
            let why = newest
                .damaged
                .first()
                .map_or("there is no snapshot".to_owned(), |(_, error)| error.to_string());
            return Err(Error::new(ErrorCode::Corrupt, why).into());
        };
        let (store, history) = load(&reader)?;
        let (machine, snapshot_bytes) = (Machine::load(Box::new(store), history)?, reader.file().bytes);
        let snapshot = metadata_of(&machine);
        let found = Found {
            snapshot: Some(snapshot.clone()),
            hard_state: Some(hard_state(recovered.hard_state)),
            mark: recovered.snapshot_mark.map(|mark| (mark.index, mark.term)),
            entries: recovered.entries.into_iter().map(from_record).collect(),
        };
        let recovered = recover(found)?;
        if recovered.begin_anew {
            let mark = SnapshotMark { index: snapshot.index, term: snapshot.term };
            wal.append(&Batch { snapshot_mark: Some(mark), ..Batch::default() })?;
            wal.sync()?;
        }
        Ok(Opened { wal, machine, start: recovered.start, snapshot, snapshot_bytes })
    }

    /// Writes a snapshot, durably, and returns its size. `pause` is called between steps.
    ///
    /// # Errors
    /// When the disk refuses; the snapshots that were there still are.
    pub fn save_snapshot(&self, job: SnapshotJob, mut pause: impl FnMut()) -> Result<u64, HomeError> {
        let SnapshotJob { metadata, state, history } = job;
        let store = self.snapshots()?;
        let id = SnapshotId { index: metadata.index, term: metadata.term };
        let mut writer = store.writer(&SnapshotMeta { id, header: bytes::Bytes::new() }, state)?;
        for (key, value) in history.records() {
            writer.section(HISTORY_SECTION, &key, &value)?;
        }
        while writer.step(SNAPSHOT_STEP_BYTES)? == Progress::More {
            pause();
        }
        let file = writer.finish()?;
        store.prune(SNAPSHOTS_KEPT)?;
        Ok(file.bytes)
    }

    /// The snapshots, to send one or to receive one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn snapshots(&self) -> Result<Arc<SnapshotStore>, HomeError> {
        let mut opened = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*opened {
            return Ok(store.clone());
        }
        let store = Arc::new(SnapshotStore::open(self.disk.clone(), &self.snapshot_dir())?);
        *opened = Some(store.clone());
        Ok(store)
    }

    /// Loads a snapshot that was received, and sees that it holds this partition of this group, as it was offered.
    ///
    /// # Errors
    /// When it is damaged, or holds something else.
    pub fn load(
        &self,
        file: &SnapshotFile,
        offered: &SnapshotMetadata,
        of: (&str, u32),
    ) -> Result<(MemoryStore, History), HomeError> {
        let (store, history) = load(&self.snapshots()?.reader(file.id)?)?;
        let machine = Machine::load(Box::new(store.clone()), history.clone())?;
        check_content(&machine, offered, of)?;
        Ok((store, history))
    }

    fn wal_options(&self, member: MemberId) -> WalOptions {
        WalOptions { segment_bytes: self.segment_bytes, ..WalOptions::new(member) }
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn snapshot_dir(&self) -> PathBuf {
        self.dir.join("snapshots")
    }
}

/// A member id that nobody has ever had.
fn draw(random: &mut dyn Random) -> MemberId {
    loop {
        // An id has to survive JSON numbers, and 0 means nobody.
        let id = random.next_u64() >> 11;
        if id != 0 {
            return MemberId(id);
        }
    }
}

/// What a snapshot of a state says of itself.
fn metadata_of(machine: &Machine) -> SnapshotMetadata {
    let applied = machine.applied();
    let membership = machine.members().membership().clone();
    SnapshotMetadata { index: applied.log_index, term: applied.term, membership }
}

fn check_content(machine: &Machine, offered: &SnapshotMetadata, of: (&str, u32)) -> Result<(), Error> {
    let (applied, configuration) = (machine.applied(), machine.configuration());
    let (group, partition) = (configuration.group.as_str(), configuration.placement.partition.get());
    let fits = (group, partition) == of
        && (applied.log_index, applied.term) == (offered.index, offered.term)
        && *machine.members().membership() == offered.membership;
    if fits {
        return Ok(());
    }
    let message = format!(
        "the snapshot holds partition {partition} of \"{group}\" as of entry {}, which is not what was offered",
        applied.log_index
    );
    Err(Error::new(ErrorCode::Invalid, message))
}

/// Loads the state and the history of a snapshot.
fn load(reader: &SnapshotReader) -> Result<(MemoryStore, History), HomeError> {
    let (mut store, mut history) = (MemoryStore::default(), History::default());
    reader.load(&mut store, &mut |section, _, value| match section {
        HISTORY_SECTION => history.restore(value).map_err(|fault| fault.to_string()),
        _ => Err("unknown section: a newer version of Synod wrote it".to_owned()),
    })?;
    Ok((store, history))
}

fn hard_state(state: wal::HardState) -> HardState {
    let vote = Some(state.vote).filter(|vote| *vote != MemberId(0));
    HardState { term: state.term, vote, commit: state.commit }
}
