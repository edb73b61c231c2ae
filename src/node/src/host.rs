//! Which replicas this node hosts, and in what state each is.
//!
//! A replica is **waiting** until it is bootstrapped or gets a snapshot: it never forms or joins a group by itself. It
//! then **runs**. One whose data is damaged has **failed**: it takes no part until an operator replaces it. One whose disk is
//! full has **stalled**: it starts again once there is room.

mod delivery;
mod recovery;
mod revival;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock};

use synod_protocol::raft::Raft;
use synod_replica::{ClientId, Genesis, Replica};
use synod_storage::disk::Disk;
use synod_storage::identity::{Identity, Stage};
use synod_types::{Clock as _, Error, ErrorCode, Limits, MemberId, SlotTable, check_label};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::{SystemClock, SystemRandom};
use crate::config::{Config, FRAME_BYTES_MAX};
use crate::drain::Drain;
use crate::driver::{Driver, Mail, Surroundings};
use crate::home::Home;
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::peers::{Address, Peers};
use crate::service::Forwarder;
use crate::slot::{Running, Slot, Stage as SlotStage, Standing};
use crate::writer::Writer;

/// The greatest request that a partition may be configured to take: one that fits into a frame of a client.
const REQUEST_BYTES_MAX: u64 = (FRAME_BYTES_MAX - (1 << 20)) as u64;

/// What a log entry has beside its largest request, and more.
const ENTRY_OVERHEAD_BYTES: u64 = 64 << 10;

/// The replicas of a node.
pub(crate) struct Host {
    config: Config,
    disk: Arc<dyn Disk>,
    peers: Arc<Peers>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) drain: Drain,
    pub(crate) forwarder: Forwarder,
    runtime: tokio::runtime::Handle,
    slots: RwLock<BTreeMap<(String, u32), Arc<Slot>>>,
    /// Told whenever a slot comes, or its stage changes.
    changed: watch::Sender<()>,
    clients: AtomicU64,
}

impl Host {
    pub(crate) fn new(
        config: Config,
        disk: Arc<dyn Disk>,
        peers: Arc<Peers>,
        metrics: Arc<Metrics>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let forwarder = Forwarder::new(peers.dialer.clone());
        Self {
            config,
            disk,
            peers,
            metrics,
            drain: Drain::default(),
            forwarder,
            runtime,
            slots: RwLock::new(BTreeMap::new()),
            changed: watch::Sender::new(()),
            clients: AtomicU64::new(1),
        }
    }

    /// What the node was told.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// A name for a client, never given before.
    pub(crate) fn next_client(&self) -> ClientId {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// Why this node is not in full service; nothing if it is.
    pub(crate) fn problems(&self) -> Vec<String> {
        let draining = self.drain.has_begun().then(|| "the node is shutting down".to_owned());
        draining.into_iter().chain(self.slots().iter().filter_map(|slot| slot.problem())).collect()
    }

    /// Told when a slot comes, or its stage changes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All slots, in the order of group and partition.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Starts every replica that lives in the data directory.
    pub(crate) fn start_all(self: &Arc<Self>) -> Result<(), Error> {
        let list = |dir: &PathBuf| match self.disk.exists(dir) {
            Ok(true) => self.disk.list(dir),
            Ok(false) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let unreadable =
            |error: synod_storage::disk::DiskError| Error::new(ErrorCode::Corrupt, error.to_string());
        let root = self.replicas_dir();
        for namespace in list(&root).map_err(unreadable)? {
            let dir = root.join(&namespace);
            for group in list(&dir).map_err(unreadable)? {
                for partition in list(&dir.join(&group)).map_err(unreadable)? {
                    let group = format!("{namespace}/{group}");
                    match partition.parse() {
                        Ok(partition) => drop(self.slot(&group, partition)?),
                        Err(_) => {
                            tracing::warn!(group, partition, "not the directory of a partition: ignored")
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the replicas live; other things may lie beside.
    fn replicas_dir(&self) -> PathBuf {
        self.config.data_dir.join("replicas")
    }

    /// The slot of a replica. It is opened, and if it holds data started, when it is first asked for.
    pub(crate) fn slot(self: &Arc<Self>, group: &str, partition: u32) -> Result<Arc<Slot>, Error> {
        let (namespace, name) = group
            .split_once('/')
            .ok_or_else(|| Error::new(ErrorCode::Invalid, "the group must be given as namespace/name"))?;
        check_label("namespace", namespace)?;
        check_label("group", name)?;
        let key = (group.to_owned(), partition);
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Ok(slot.clone());
        }
        self.drain.admit_stream()?;
        let dir = self.replicas_dir().join(namespace).join(name).join(partition.to_string());
        let home = Arc::new(Home::new(self.disk.clone(), dir, self.config.wal_segment_bytes));
        let slot = Arc::new(Slot::new(group.to_owned(), partition, home, self.changed.clone()));
        self.open(&slot);
        slots.insert(key, slot.clone());
        Ok(slot)
    }

    fn open(self: &Arc<Self>, slot: &Arc<Slot>) {
        let opened = match slot.home().identity() {
            Ok(None) => return,
            Ok(Some(identity)) if identity.stage == Stage::Waiting => {
                return slot.set(SlotStage::Waiting(identity));
            }
            Ok(Some(identity)) => {
                let settled = slot.home().settle(&identity, &mut SystemRandom).map_err(Error::from);
                let started = settled.and_then(|identity| self.start(slot, &identity));
                started.map_err(|error| (Some(identity.member), error))
            }
            Err(error) => Err((None, error.into())),
        };
        if let Err((member, error)) = opened {
            tracing::error!(replica = slot.name(), %error, "the replica cannot start and takes no part");
            slot.set(SlotStage::Failed(member, error));
        }
    }

    /// Starts a replica that holds data.
    pub(crate) fn start(self: &Arc<Self>, slot: &Arc<Slot>, identity: &Identity) -> Result<(), Error> {
        if (identity.group.as_str(), identity.partition.get()) != (slot.group(), slot.partition()) {
            let message = format!(
                "the directory holds a replica of {} partition {}: it was moved here",
                identity.group, identity.partition
            );
            return Err(Error::new(ErrorCode::Corrupt, message));
        }
        let opened = slot.home().open(identity).map_err(Error::from)?;
        self.check_log_holds(&opened.machine.configuration().limits)?;
        let slots = opened.machine.configuration().placement.slots.clone();
        let now = SystemClock.now();
        let protocol = Raft::new(now, identity.member, self.config.raft.clone(), opened.start)
            .map_err(|refused| Error::new(ErrorCode::Corrupt, refused.to_string()))?;
        let replica = Replica::new(
            now,
            identity.member,
            self.config.replica.clone(),
            Box::new(protocol),
            opened.machine,
            opened.snapshot,
            opened.snapshot_bytes,
        );
        let metrics = Arc::new(self.metrics.replica(slot.group(), slot.partition()));
        metrics.starts();
        let mailbox = Arc::new(Inbox::default());
        let surroundings = Surroundings {
            name: slot.name(),
            group: group_hash(slot.group()),
            partition: slot.partition(),
            home: slot.home().clone(),
            peers: self.peers.clone(),
            metrics: metrics.clone(),
            runtime: self.runtime.clone(),
        };
        let no_thread =
            |error: std::io::Error| Error::new(ErrorCode::ResourceExhausted, format!("no thread: {error}"));
        let writer = Writer::start(&slot.name(), opened.wal, mailbox.clone(), metrics).map_err(no_thread)?;
        let driver = Driver::start(mailbox, replica, writer, surroundings);
        slot.set(SlotStage::Running(Arc::new(Running::new(identity.member, slots, driver))));
        tracing::info!(replica = slot.name(), member = %identity.member, "replica started");
        Ok(())
    }

    /// The replica of a partition, if it runs here. `group` may be "namespace/name", "name", or empty where there is
    /// only one.
    pub(crate) fn running(&self, group: &str, partition: u32) -> Result<Arc<Running>, Error> {
        let group = self.resolve(group)?;
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(&(group.clone(), partition)) else {
            let message = format!(
                "partition {partition} of group \"{group}\" is not hosted on this node: ask the controller where it is"
            );
            return Err(Error::new(ErrorCode::WrongPartition, message));
        };
        match slot.standing() {
            Standing::Running(running) => Ok(running),
            Standing::Blank | Standing::Waiting(_) => Err(Error::new(
                ErrorCode::Unavailable,
                "the replica here waits to be bootstrapped or to get a snapshot: ask another one",
            )),
            Standing::Failed(_, error) => {
                Err(Error::new(ErrorCode::Unavailable, "the replica here has failed: ask another one")
                    .within(error))
            }
        }
    }

    /// Which partition of a group holds which key. `group` is a full name.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] when no replica of the group runs here.
    pub(crate) fn placement(&self, group: &str) -> Result<SlotTable, Error> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let of_group = slots.range((group.to_owned(), 0)..=(group.to_owned(), u32::MAX));
        let mut placements = of_group.filter_map(|(_, slot)| match slot.standing() {
            Standing::Running(running) => Some(running.slots.clone()),
            _ => None,
        });
        placements.next().ok_or_else(|| {
            let message = format!("no replica of group \"{group}\" runs on this node: ask another one");
            Error::new(ErrorCode::Unavailable, message)
        })
    }

    /// The full name of a group that is hosted here.
    pub(crate) fn resolve(&self, group: &str) -> Result<String, Error> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |name: &&String| {
            group.is_empty() || *name == group || name.split_once('/').is_some_and(|(_, name)| name == group)
        };
        let mut found: Vec<_> = slots.keys().map(|(name, _)| name).filter(fits).collect();
        found.dedup();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                Err(Error::new(ErrorCode::NotFound, format!("group \"{group}\" is not hosted on this node")))
            }
            _ => {
                let all = found.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                Err(Error::new(ErrorCode::Invalid, format!("say which group is meant: {all}")))
            }
        }
    }

    /// Gives a blank replica an identity; tells who lives there and whether it holds data.
    pub(crate) fn prepare(self: &Arc<Self>, group: &str, partition: u32) -> Result<(MemberId, bool), Error> {
        let slot = self.slot(group, partition)?;
        let _birth = self.birth(&slot)?;
        match slot.standing() {
            Standing::Running(running) => Ok((running.member, true)),
            Standing::Waiting(member) => Ok((member, false)),
            Standing::Failed(_, error) => {
                Err(error.within("the replica has failed, wipe its directory first"))
            }
            Standing::Blank => {
                let prepared =
                    slot.home().prepare(group, partition, &mut SystemRandom).map_err(Error::from)?;
                let member = prepared.member;
                slot.set(SlotStage::Waiting(prepared));
                tracing::info!(replica = slot.name(), %member, "replica prepared");
                Ok((member, false))
            }
        }
    }

    /// Deletes what a member has that was taken out. The replica is blank then.
    pub(crate) fn discard(
        self: &Arc<Self>,
        group: &str,
        partition: u32,
        member: MemberId,
    ) -> Result<(), Error> {
        let slot = self.slot(group, partition)?;
        let _birth = self.birth(&slot)?;
        let here = match slot.standing() {
            Standing::Blank => return Ok(()),
            Standing::Running(running) => Some(running.member),
            Standing::Waiting(member) | Standing::Failed(Some(member), _) => Some(member),
            Standing::Failed(None, _) => None,
        };
        if here != Some(member) {
            let message = match here {
                Some(here) => format!("the replica here is member {here}, not {member}"),
                None => "the replica here cannot tell which member it is: delete its directory".to_owned(),
            };
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        slot.stop();
        slot.home().discard().map_err(Error::from)?;
        slot.set(SlotStage::Blank);
        tracing::info!(replica = slot.name(), %member, "replica discarded");
        Ok(())
    }

    /// An entry that does not fit into the log would stop every replica of the partition, so none must be possible.
    fn check_log_holds(&self, limits: &Limits) -> Result<(), Error> {
        let batch_bytes = self.config.replica.batch_bytes_max as u64;
        let needed = batch_bytes.max(limits.request_bytes).saturating_add(ENTRY_OVERHEAD_BYTES);
        let segment_bytes = self.config.wal_segment_bytes;
        if needed <= segment_bytes {
            return Ok(());
        }
        let message = format!(
            "the log has segments of {segment_bytes} bytes, but the requests of the partition need {needed}: start the node with larger ones"
        );
        Err(Error::new(ErrorCode::Invalid, message))
    }

    /// Begins the life of a partition on a replica that waits.
    pub(crate) fn bootstrap(self: &Arc<Self>, genesis: &Genesis) -> Result<(), Error> {
        let configuration = &genesis.configuration;
        let request_bytes = configuration.limits.request_bytes;
        if request_bytes > REQUEST_BYTES_MAX {
            let message = format!("request_bytes is {request_bytes}: use at most {REQUEST_BYTES_MAX}");
            return Err(Error::new(ErrorCode::Invalid, message));
        }
        self.check_log_holds(&configuration.limits)?;
        let slot = self.slot(&configuration.group, configuration.placement.partition.get())?;
        let _birth = self.birth(&slot)?;
        let is_listed = |id: MemberId| genesis.members.iter().any(|member| member.id == id.get());
        // An id is drawn once: who has it and data has them from the others, who were faster, or from an earlier call.
        if let Standing::Running(running) = slot.standing()
            && is_listed(running.member)
        {
            return Ok(());
        }
        let identity = slot.waiting()?;
        if !is_listed(identity.member) {
            let message = format!("the replica here is member {}, who is not in the list", identity.member);
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        slot.home().bootstrap(&identity, genesis, &mut SystemRandom).map_err(Error::from)?;
        self.start(&slot, &identity)
    }

    /// Tells all replicas that a node seems to be gone.
    pub(crate) fn peer_lost(&self, address: &Address) {
        for slot in self.slots() {
            if let Standing::Running(running) = slot.standing() {
                running.mail(Mail::PeerLost(address.clone()));
            }
        }
    }

    /// To be held while it changes who lives in a slot.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] once the node closes: nobody moves in or out any more.
    pub(crate) fn birth<'a>(&self, slot: &'a Slot) -> Result<MutexGuard<'a, ()>, Error> {
        let birth = slot.birth.lock().unwrap_or_else(PoisonError::into_inner);
        self.drain.admit_stream()?;
        Ok(birth)
    }

    /// Stops all replicas, for good: each finishes its mail and its writes. What lives here is not forgotten, so that nobody
    /// takes a slot for blank, or starts a second replica on the log of one that has not ended yet.
    pub(crate) fn stop(&self) {
        self.drain.close();
        for slot in self.slots() {
            let _birth = slot.birth.lock().unwrap_or_else(PoisonError::into_inner);
            slot.stop();
            slot.retire();
        }
    }
}

/// How peer messages name a group.
pub(crate) fn group_hash(group: &str) -> u64 {
    xxh3_64(group.as_bytes())
}
