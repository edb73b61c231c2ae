//! The task that owns one replica's core: takes its mail, lets the core work, carries out the effects.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use synod_proto::session::v1::{Delivery, Reply, Request, reply};
use synod_proto::types::v1::Member;
use synod_protocol::{Message, Persist};
use synod_replica::{ClientId, Effect, Input, Replica, Status, wire};
use synod_types::{Clock as _, Error, ErrorCode, LogIndex, MemberId, Monotonic};
use tokio::sync::{oneshot, watch};

use crate::clock::SystemClock;
use crate::home::Home;
use crate::inbox::Inbox;
use crate::log::Write;
use crate::metrics::ReplicaMetrics;
use crate::outbox::{Outbox, Outgoing};
use crate::peers::{Address, Peers};
use crate::scans;
use crate::snapshots;
use crate::writer::Writer;

/// How often what is not cheap to count is counted.
const CENSUS: Duration = Duration::from_secs(1);

/// The most members that are not known yet whose addresses are kept.
const NEWCOMERS_MAX: usize = 16;

/// What is sent to the driver of a replica.
pub(crate) enum Mail {
    /// For the core.
    Input(Input),
    /// Another member sent a message; it takes answers there.
    Message(Message, Option<Address>),
    /// A client comes; its answers go there.
    Connect(ClientId, Outbox),
    /// Requests of a client, and their size in bytes.
    Requests(ClientId, Vec<Request>, usize),
    /// A client goes.
    Disconnect(ClientId),
    /// The node at this address is gone, or so it seems.
    PeerLost(Address),
    /// Somebody wants to know how things stand.
    Status(oneshot::Sender<Status>),
    /// An operator asks something.
    Admin(synod_replica::Admin, oneshot::Sender<Result<u64, Error>>),
}

/// What everybody may see of a replica without asking it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Glance {
    pub(crate) standing: synod_protocol::Standing,
    pub(crate) members: Vec<Member>,
    /// Why it has stopped, if it has.
    pub(crate) failed: Option<Error>,
}

/// What a driver works with.
pub(crate) struct Surroundings {
    pub(crate) name: String,
    /// The group, as peer messages name it.
    pub(crate) group: u64,
    pub(crate) partition: u32,
    pub(crate) home: Arc<Home>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) metrics: Arc<ReplicaMetrics>,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// The task and its queue.
pub(crate) struct Driver {
    pub(crate) mailbox: Arc<Inbox<Mail>>,
    pub(crate) glance: watch::Receiver<Glance>,
    due: Arc<AtomicU64>,
    work: Arc<Mutex<Option<Box<Work>>>>,
}

impl Driver {
    /// Starts the task. `writer` takes the writes of the replica.
    pub(crate) fn start(
        mailbox: Arc<Inbox<Mail>>,
        replica: Replica,
        writer: Writer,
        surroundings: Surroundings,
    ) -> Self {
        let (glance, seen) = watch::channel(Glance::default());
        let due = Arc::new(AtomicU64::new(u64::MAX));
        let (metrics, runtime) = (surroundings.metrics.clone(), surroundings.runtime.clone());
        let work = Work {
            replica,
            writer,
            has_failed: false,
            mailbox: mailbox.clone(),
            surroundings: Arc::new(surroundings),
            clients: BTreeMap::new(),
            addresses: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            admin: BTreeMap::new(),
            last_admin: 0,
            glance: glance.clone(),
            entered: VecDeque::new(),
            next_census: Monotonic::default(),
        };
        let work = Arc::new(Mutex::new(Some(Box::new(work))));
        let turns = Turns { mailbox: mailbox.clone(), work: work.clone(), due: due.clone(), metrics, glance };
        runtime.spawn(turns.run());
        Self { mailbox, glance: seen, due, work }
    }

    /// For how long the task has not done what was due.
    pub(crate) fn overdue(&self) -> Duration {
        SystemClock.now().since(Monotonic::from_nanos(self.due.load(Ordering::Relaxed)))
    }

    /// Stops the task after the mail that it is working on, and the writer after what it has to write: blocks until
    /// both have ended.
    pub(crate) fn stop(&self) {
        self.mailbox.abandon();
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Outside the lock: the runtime must not wait for the disk.
        drop(work);
        self.due.store(u64::MAX, Ordering::Relaxed);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The task.
struct Turns {
    mailbox: Arc<Inbox<Mail>>,
    /// Taken away when the replica is to stop, and gone if it panicked.
    work: Arc<Mutex<Option<Box<Work>>>>,
    /// When the next turn is due.
    due: Arc<AtomicU64>,
    metrics: Arc<ReplicaMetrics>,
    glance: watch::Sender<Glance>,
}

impl Turns {
    async fn run(self) {
        let mut mail = Vec::new();
        let mut deadline = SystemClock.now();
        loop {
            self.mailbox.take(&mut mail, deadline.since(SystemClock.now())).await;
            if self.mailbox.is_closed() {
                return;
            }
            match self.turn(&mut mail) {
                Some(next) => deadline = next,
                // What came too late for the last turn holds the other ends of those who wait for answers.
                None => return self.mailbox.abandon(),
            }
        }
    }

    /// Lets the replica work, and says until when it has nothing to do; nothing if it has ended.
    fn turn(&self, mail: &mut Vec<Mail>) -> Option<Monotonic> {
        let mut held = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let mut work = held.take()?;
        // A panic is a bug; it must not take the other replicas of the node with it, nor hang their clients.
        let turned = catch_unwind(AssertUnwindSafe(move || {
            work.turn(mail);
            work
        }));
        if let Ok(work) = turned {
            let deadline = work.replica.deadline();
            self.due.store(deadline.as_nanos(), Ordering::Relaxed);
            *held = Some(work);
            return Some(deadline);
        }
        self.metrics.failed();
        let error = Error::new(ErrorCode::Internal, "the replica stopped on an internal error");
        self.glance.send_modify(|glance| glance.failed = Some(error));
        self.due.store(u64::MAX, Ordering::Relaxed);
        None
    }
}

struct Work {
    replica: Replica,
    writer: Writer,
    /// It has failed, and says nothing to anybody any more.
    has_failed: bool,
    mailbox: Arc<Inbox<Mail>>,
    surroundings: Arc<Surroundings>,
    clients: BTreeMap<ClientId, Outbox>,
    addresses: BTreeMap<MemberId, Address>,
    /// Where senders take answers that are not members yet, as far as this replica knows: it may lag behind.
    newcomers: BTreeMap<MemberId, Address>,
    admin: BTreeMap<u64, oneshot::Sender<Result<u64, Error>>>,
    last_admin: u64,
    glance: watch::Sender<Glance>,
    /// Log entries that are not applied yet: the last one of each write, and when it came.
    entered: VecDeque<(LogIndex, Monotonic)>,
    next_census: Monotonic,
}

impl Work {
    fn turn(&mut self, mail: &mut Vec<Mail>) {
        let begin = SystemClock.now();
        self.surroundings.metrics.turn_begins(mail.len());
        for item in mail.drain(..) {
            self.open(item);
        }
        let effects = self.replica.flush(SystemClock.now());
        self.carry_out(effects);
        self.measure(begin);
    }

    /// Counts what a turn has done.
    fn measure(&mut self, begin: Monotonic) {
        let (metrics, now) = (&self.surroundings.metrics, SystemClock.now());
        metrics.turn_ends(now.since(begin));
        metrics.observe(&self.replica, self.clients.len());
        let applied = self.replica.machine().applied().log_index;
        while let Some((_, came)) = self.entered.pop_front_if(|(index, _)| *index <= applied) {
            metrics.committed(now.since(came));
        }
        if now >= self.next_census {
            self.next_census = now + CENSUS;
            metrics.census(&self.replica.status());
        }
    }

    /// Notes when entries came. They replace those that stood in their place.
    fn note_entries(&mut self, persist: &Persist) {
        if let (Some(first), Some(last)) = (persist.entries.first(), persist.entries.last()) {
            while self.entered.pop_back_if(|(index, _)| *index >= first.index).is_some() {}
            self.entered.push_back((last.index, SystemClock.now()));
        }
    }

    fn open(&mut self, mail: Mail) {
        let now = SystemClock.now();
        match mail {
            Mail::Input(input) => self.replica.handle(now, input),
            Mail::Connect(client, outbox) => drop(self.clients.insert(client, outbox)),
            Mail::Message(message, address) => {
                let Message::Raft(raft) = &message;
                self.note_newcomer(raft.from, address);
                self.replica.handle(now, Input::Message(message));
            }
            Mail::Requests(client, requests, bytes) => {
                self.surroundings.metrics.requests(requests.len(), bytes);
                for request in requests {
                    self.replica.handle(now, Input::Request(client, request));
                }
            }
            Mail::Disconnect(client) => {
                self.clients.remove(&client);
                self.replica.handle(now, Input::Disconnected(client));
            }
            Mail::PeerLost(address) => {
                let lost = self.addresses.iter().filter(|(_, at)| **at == address);
                for member in lost.map(|(member, _)| *member).collect::<Vec<_>>() {
                    self.replica.handle(now, Input::PeerLost(member));
                }
            }
            // Who asked and did not wait has gone.
            Mail::Status(answer) => drop(answer.send(self.replica.status())),
            Mail::Admin(admin, answer) => {
                self.last_admin += 1;
                self.admin.insert(self.last_admin, answer);
                self.replica.handle(now, Input::Admin(self.last_admin, admin));
            }
        }
    }

    /// A leader may be one that this replica, which lags behind, does not know: it must be answered to catch up.
    fn note_newcomer(&mut self, member: MemberId, address: Option<Address>) {
        if self.addresses.contains_key(&member) {
            return;
        }
        if self.newcomers.len() >= NEWCOMERS_MAX {
            self.newcomers.clear();
        }
        self.newcomers.extend(address.map(|address| (member, address)));
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut outgoing: BTreeMap<ClientId, Outgoing> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Reply { client, tag, index, body } => {
                    if let reply::Body::Error(error) = &body {
                        self.surroundings.metrics.error(error.code);
                    }
                    let reply = Reply { tag, index: index.get(), body: Some(body) };
                    outgoing.entry(client).or_default().replies.push(reply);
                }
                Effect::Deliver { client, tag, events, position } => {
                    self.surroundings.metrics.events(events.len(), events.iter().map(Bytes::len).sum());
                    let delivery = Delivery { tag, events, position: position.get() };
                    outgoing.entry(client).or_default().deliveries.push(delivery);
                }
                other => self.carry_out_other(other),
            }
        }
        for (client, outgoing) in outgoing {
            if let Some(outbox) = self.clients.get(&client) {
                // A client that has gone is reported by whoever reads its stream.
                outbox.send(outgoing);
            }
        }
        if self.has_failed {
            // Nothing comes from here any more, to watches least of all: who has a stream must go to another replica.
            self.clients.clear();
        }
    }

    fn carry_out_other(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(persist) => {
                self.note_entries(&persist);
                self.writer.push(Write::Persist(persist));
            }
            Effect::TruncateLog(index, term) => self.writer.push(Write::Truncate(index, term)),
            Effect::Send(to, message) => self.send(to, message),
            Effect::SendSnapshot(to, message) => self.send_snapshot(to, message),
            Effect::SaveSnapshot(job) => {
                snapshots::save(self.surroundings.clone(), self.mailbox.clone(), job);
            }
            Effect::Scan { client, tag, index, chunks } => {
                if let Some(outbox) = self.clients.get(&client) {
                    let reader = scans::Reader { outbox: outbox.clone(), tag, index, chunks };
                    self.surroundings.runtime.spawn(reader.run());
                }
            }
            Effect::AdminReply(request, answer) => {
                if let Some(waiting) = self.admin.remove(&request) {
                    let _ = waiting.send(answer);
                }
            }
            Effect::Members(members) => {
                self.addresses = members
                    .iter()
                    .map(|member| (MemberId(member.id), Address::from(member.peer_address.as_str())))
                    .collect();
                self.newcomers.clear();
                self.glance.send_modify(|glance| glance.members = members);
            }
            Effect::Role { .. } => {
                let standing = self.replica.standing();
                let synod_protocol::Standing { role, term, leader } = standing;
                tracing::info!(replica = self.surroundings.name, ?role, %term, ?leader, "role");
                self.glance.send_modify(|glance| glance.standing = standing);
            }
            Effect::Failed(error) => {
                tracing::error!(replica = self.surroundings.name, %error, "the replica has stopped");
                self.has_failed = true;
                self.writer.close();
                self.surroundings.metrics.failed();
                self.glance.send_modify(|glance| {
                    glance.failed = Some(error);
                    glance.standing = synod_protocol::Standing::default();
                });
            }
            Effect::Reply { .. } | Effect::Deliver { .. } => {}
        }
    }

    fn send(&self, to: MemberId, message: Message) {
        if let Some(address) = self.addresses.get(&to).or_else(|| self.newcomers.get(&to)) {
            let mut message = wire::message_to_wire(message);
            message.group = self.surroundings.group;
            message.partition = self.surroundings.partition;
            self.surroundings.peers.send(address, message);
        }
    }

    fn send_snapshot(&self, to: MemberId, message: Message) {
        let Some(address) = self.addresses.get(&to).cloned() else {
            self.mailbox.push(Mail::Input(Input::SnapshotSent(to, false)));
            return;
        };
        let mut message = wire::message_to_wire(message);
        message.group = self.surroundings.group;
        message.partition = self.surroundings.partition;
        snapshots::send(self.surroundings.clone(), self.mailbox.clone(), to, address, message);
    }
}
