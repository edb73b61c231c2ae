//! What a replica is told, and what it wants done.

use std::time::Duration;

use bytes::Bytes;
use synod_primitives::ScanChunks;
use synod_proto::session::v1::{Request, reply};
use synod_proto::types::v1::Member;
use synod_protocol::{Message, Persist, Role, SnapshotMetadata, Token};
use synod_storage::state::{StateSnapshot, StateStore};
use synod_types::{Error, Index, LogIndex, MemberId, Position, Term};

use crate::machine::History;

/// Names whoever sends requests: a session stream, or a unary call. Chosen by the driver, never used again.
pub type ClientId = u64;

/// Names a request of a client, in its answer.
pub type Tag = u64;

/// How much a replica lets be under way, and when it takes a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most writes that wait for their commit.
    pub writes_in_flight_max: usize,
    /// The most reads that wait to be served.
    pub reads_in_flight_max: usize,
    /// The most watches.
    pub watches_max: usize,
    /// The most bytes of commands in one log entry.
    pub batch_bytes_max: usize,
    /// The most bytes of events that are handed out for one client and not yet reported as sent.
    pub events_in_flight_bytes_max: usize,
    /// A snapshot is taken when this much log has been applied since the last one, or half as much as the last one
    /// was large, whichever is more.
    pub snapshot_log_bytes: u64,
    /// How much log is kept behind a snapshot for members that are a little slow.
    pub log_tail_bytes: u64,
    /// How often a watch that has nothing to tell is told how far it has come.
    pub progress_interval: Duration,
    /// How long a transfer of leadership may take before the operator is told that it failed.
    pub transfer_timeout: Duration,
    /// How long the disk of a leader may hold up what the others have committed before it hands leadership over.
    pub disk_patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writes_in_flight_max: 16_384,
            reads_in_flight_max: 65_536,
            watches_max: 1_000_000,
            batch_bytes_max: 1 << 20,
            events_in_flight_bytes_max: 1 << 20,
            snapshot_log_bytes: 32 << 20,
            log_tail_bytes: 4 << 20,
            progress_interval: Duration::from_secs(5),
            transfer_timeout: Duration::from_secs(3),
            disk_patience: Duration::from_millis(500),
        }
    }
}

/// What an operator asks of a replica.
#[derive(Clone, Debug, PartialEq)]
pub enum Admin {
    /// Adds a prepared replica as a learner.
    AddLearner(Member),
    /// Makes a learner that has caught up a voter.
    Promote(MemberId),
    /// Takes a member out.
    Remove(MemberId),
    /// Hands leadership over; to whoever has caught up furthest if nobody is named.
    Transfer(Option<MemberId>),
    /// Takes a snapshot now.
    Snapshot,
}

/// What has happened.
pub enum Input {
    /// Nothing but time.
    Tick,
    /// Another member sent a message. Not an offer of a snapshot: that comes as `SnapshotReceived`.
    Message(Message),
    /// The connection to a member was closed or refused: its process is gone, or so it seems.
    PeerLost(MemberId),
    /// A write is durable, and with it every earlier one.
    Persisted(Token),
    /// A client sent a request.
    Request(ClientId, Request),
    /// A client is gone: nothing is sent to it any more. Its session lives on.
    Disconnected(ClientId),
    /// So many bytes of events for a client have left.
    EventsSent(ClientId, usize),
    /// An operator asks something; the answer is an `AdminReply` with the same number.
    Admin(u64, Admin),
    /// The snapshot that was asked for is durable, this large; or why it is not.
    SnapshotSaved(SnapshotMetadata, Result<u64, Error>),
    /// How the sending of a snapshot ended.
    SnapshotSent(MemberId, bool),
    /// A snapshot came from another member, together with the message that offers it. It is durable.
    SnapshotReceived {
        /// The offer.
        message: Message,
        /// Its state.
        store: Box<dyn StateStore>,
        /// Its history.
        history: History,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The write-ahead log or the disk failed: the replica must stop. Why, as it is to be told.
    DiskFailed(Error),
}

/// A snapshot to be written in the background.
pub struct SnapshotJob {
    /// Where it stands in the log.
    pub metadata: SnapshotMetadata,
    /// The state.
    pub state: Box<dyn StateSnapshot>,
    /// The history.
    pub history: History,
}

/// What is to be done. Effects are carried out in the order in which they are handed out, except that messages may
/// overtake writes.
pub enum Effect {
    /// Make durable, then report `Persisted`.
    Persist(Persist),
    /// Send to a member; may be lost.
    Send(MemberId, Message),
    /// Send the newest snapshot and this message to a member, then report `SnapshotSent`.
    SendSnapshot(MemberId, Message),
    /// Write a snapshot, then report `SnapshotSaved`.
    SaveSnapshot(SnapshotJob),
    /// Everything up to this entry, which has this term, is in a durable snapshot: the log up to it can go.
    TruncateLog(LogIndex, Term),
    /// Answer a client.
    Reply {
        /// Who asked.
        client: ClientId,
        /// What is answered.
        tag: Tag,
        /// The answer reflects all commands up to this one.
        index: Index,
        /// The answer.
        body: reply::Body,
    },
    /// Read a scan in chunks and answer with them.
    Scan {
        /// Who asked.
        client: ClientId,
        /// What is answered.
        tag: Tag,
        /// The answer reflects all commands up to this one.
        index: Index,
        /// The chunks.
        chunks: ScanChunks,
    },
    /// Hand events to a watcher, and report `EventsSent` with their size when they have left.
    Deliver {
        /// Who watches.
        client: ClientId,
        /// Which watch.
        tag: Tag,
        /// Encoded events, in order.
        events: Vec<Bytes>,
        /// Everything up to here that concerns the watch has been delivered.
        position: Position,
    },
    /// Answer an operator. What was done, as a number: a member id or a log index.
    AdminReply(u64, Result<u64, Error>),
    /// The members are these now.
    Members(Vec<Member>),
    /// What this replica is has changed.
    Role {
        /// What it is now.
        role: Role,
        /// The term.
        term: Term,
        /// Who leads, if known.
        leader: Option<MemberId>,
    },
    /// The replica has stopped for good, for this reason. It must be replaced.
    Failed(Error),
}
