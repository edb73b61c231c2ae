//! The contract between a replica and the protocol that replicates its log.

use bytes::Bytes;
use synod_types::{LogIndex, MemberId, Monotonic, Term};

use crate::raft;

/// An entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that appended it.
    pub term: Term,
    /// Its place in the log.
    pub index: LogIndex,
    /// Who reads the payload.
    pub kind: EntryKind,
    /// The payload. Empty in entries that the protocol appends for its own ends.
    pub data: Bytes,
}

/// What an entry is for. The numbers are persisted and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// For the state machine.
    Normal = 0,
    /// Changes the membership; goes back into [`Protocol::apply_membership`] when it is committed.
    Membership = 2,
}

impl EntryKind {
    /// The kind with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Normal, Self::Membership].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// What a member must remember of itself, beside the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The greatest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<MemberId>,
    /// How far it knows the log to be committed. May be behind.
    pub commit: LogIndex,
}

/// Who takes part, as the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who counts in majorities.
    pub voters: Vec<MemberId>,
    /// Who receives the log and does not count.
    pub learners: Vec<MemberId>,
    /// While a change is under way: the voters before it, whose majority counts as well.
    pub voters_outgoing: Vec<MemberId>,
    /// Who becomes a learner when the change is done.
    pub learners_next: Vec<MemberId>,
    /// The change ends by itself.
    pub auto_leave: bool,
}

impl Membership {
    /// The membership of a partition at its birth.
    pub fn of_voters(voters: impl IntoIterator<Item = MemberId>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        Self { voters, ..Self::default() }
    }

    /// Everybody who takes part in any role, in the order of the ids.
    pub fn all(&self) -> Vec<MemberId> {
        let mut all: Vec<_> = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A change of the membership, one member at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a member that receives the log and does not count. `about` is stored with the entry: who it is.
    AddLearner {
        /// Who joins.
        member: MemberId,
        /// Opaque to the protocol.
        about: Bytes,
    },
    /// Makes a learner a voter.
    Promote(MemberId),
    /// Takes a member out.
    Remove(MemberId),
}

/// Where a snapshot stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotMetadata {
    /// The last entry that it includes.
    pub index: LogIndex,
    /// The term of that entry.
    pub term: Term,
    /// The membership as of that entry.
    pub membership: Membership,
}

/// A message between members.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Of the protocol raft.
    Raft(raft::Message),
}

/// Names a write that [`Output::persist`] asked for. Grows.
pub type Token = u64;

/// What to make durable, all of it before the token is reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Persist {
    /// To be passed to [`Protocol::persisted`] once everything below is on disk.
    pub token: Token,
    /// The log begins anew after this snapshot, which is on disk already.
    pub snapshot: Option<SnapshotMetadata>,
    /// To be appended. An entry whose index is taken replaces that one and everything behind it.
    pub entries: Vec<Entry>,
    /// The hard state after the entries.
    pub hard_state: Option<HardState>,
}

/// The answer to [`Protocol::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// This read, and every one with a smaller context, may be served once the state has applied `index`.
    pub context: u64,
    /// How far the log was committed when leadership was confirmed.
    pub index: LogIndex,
}

/// What a member is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It orders the log.
    Leader,
    /// It follows, and votes.
    #[default]
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows, and does not vote.
    Learner,
}

/// What the caller has to do. The order of the fields is the order in which to do it, but for `send`, which may
/// leave at any time.
#[derive(Debug, Default)]
pub struct Output {
    /// Messages that may leave at once, also before `persist` is durable. May be lost, repeated or reordered.
    pub send: Vec<(MemberId, Message)>,
    /// Members that are too far behind for the log. Send the newest snapshot, then this message, and report how
    /// it went with [`Protocol::snapshot_sent`].
    pub send_snapshot: Vec<(MemberId, Message)>,
    /// A member needs a newer snapshot than there is: take one, and report [`Protocol::snapshot_saved`].
    pub snapshot_wanted: bool,
    /// What to write.
    pub persist: Option<Persist>,
    /// The state is the one of this snapshot from now on; it came with a message that was stepped.
    pub restored: Option<SnapshotMetadata>,
    /// Entries to apply, in order, after `restored`. They follow each other without a gap.
    pub committed: Vec<Entry>,
    /// Reads that may be served.
    pub reads: Vec<ReadReady>,
}

impl Output {
    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.send.is_empty()
            && self.send_snapshot.is_empty()
            && !self.snapshot_wanted
            && self.persist.is_none()
            && self.restored.is_none()
            && self.committed.is_empty()
            && self.reads.is_empty()
    }
}

/// Why the protocol did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This member does not lead. Nothing was appended.
    #[error("this member does not lead")]
    NotLeader,
    /// Too much is under way, or leadership is being handed over. Nothing was appended; try again.
    #[error("too much is under way")]
    Busy,
    /// What was asked makes no sense now.
    #[error("{0}")]
    Invalid(String),
    /// The message or entry cannot come from a correct member, or this member has lost what it had promised to
    /// keep. It must stop and be replaced.
    #[error("{0}")]
    Broken(String),
}

/// What a leader knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which one.
    pub member: MemberId,
    /// The last entry that it is known to have on disk.
    pub matched: LogIndex,
    /// Whether it was heard of within an election timeout.
    pub active: bool,
}

/// Who leads, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What this member is.
    pub role: Role,
    /// The current term.
    pub term: Term,
    /// Who leads, as far as this member knows.
    pub leader: Option<MemberId>,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who leads.
    pub standing: Standing,
    /// The first entry that the log in memory still has.
    pub first_index: LogIndex,
    /// The last entry, durable or not.
    pub last_index: LogIndex,
    /// The term of that entry: of two logs, the one whose last term is greater, or else the longer one, has more.
    pub last_term: Term,
    /// How far the log is committed.
    pub commit: LogIndex,
    /// Who takes part.
    pub membership: Membership,
    /// On the leader: what it knows of each member. Empty elsewhere.
    pub progress: Vec<Progress>,
}

/// A replication protocol.
///
/// The caller's duties, in any interleaving of calls:
/// 1. After any call, take [`Protocol::output`] and do what it says, until it is empty.
/// 2. Make each `persist` durable in the order in which they came, and then report it. Never report what is not
///    durable; after a failed write report nothing more, ever.
/// 3. Apply committed entries in order; hand those of kind [`EntryKind::Membership`] to
///    [`Protocol::apply_membership`]; then report [`Protocol::applied`].
/// 4. Call [`Protocol::tick`] at [`Protocol::deadline`], or later.
/// 5. Pass the time of a monotonic clock that goes on while the machine sleeps, read just before the call.
pub trait Protocol: Send {
    /// A message came from another member.
    ///
    /// # Errors
    /// [`Refused::Invalid`] for a message that is dropped, [`Refused::Broken`] when this member must stop.
    fn step(&mut self, now: Monotonic, message: Message) -> Result<(), Refused>;

    /// Appends an entry, if this member leads. Whether it is committed shows later, by its index and term.
    ///
    /// # Errors
    /// [`Refused::NotLeader`] or [`Refused::Busy`]; then nothing was appended.
    fn propose(&mut self, data: Bytes) -> Result<LogIndex, Refused>;

    /// Time has passed. One call never counts for more than one tick, however late it is, so that a process that
    /// was paused does not believe that its leader was silent.
    fn tick(&mut self, now: Monotonic);

    /// When [`Protocol::tick`] wants to be called next.
    fn deadline(&self) -> Monotonic;

    /// A write is durable, and with it every earlier one.
    fn persisted(&mut self, now: Monotonic, token: Token);

    /// The state has applied everything up to this index.
    fn applied(&mut self, index: LogIndex);

    /// Asks to confirm that this member leads, for a read that begins now. `context` grows from call to call. No
    /// answer ever comes if leadership is lost.
    ///
    /// # Errors
    /// [`Refused::NotLeader`].
    fn read(&mut self, now: Monotonic, context: u64) -> Result<(), Refused>;

    /// Proposes a change of the membership.
    ///
    /// # Errors
    /// [`Refused::NotLeader`], [`Refused::Busy`] while another change is under way, or [`Refused::Invalid`].
    fn change(&mut self, change: &Change) -> Result<LogIndex, Refused>;

    /// A committed entry of kind [`EntryKind::Membership`] takes effect. Returns the new membership and what was
    /// said about a member that was added.
    ///
    /// # Errors
    /// [`Refused::Broken`] if it cannot be read.
    fn apply_membership(&mut self, entry: &Entry) -> Result<(Membership, Bytes), Refused>;

    /// A member's process is gone for certain, or so it seems: its connection was closed or refused. A hint; being
    /// wrong costs at most an election that changes nothing.
    fn suspect(&mut self, now: Monotonic, member: MemberId);

    /// Hands leadership over to a voter. It has happened when that one leads; it may fail silently.
    ///
    /// # Errors
    /// [`Refused::NotLeader`] or [`Refused::Invalid`].
    fn transfer(&mut self, to: MemberId) -> Result<(), Refused>;

    /// How the sending of a snapshot ended.
    fn snapshot_sent(&mut self, to: MemberId, success: bool);

    /// A snapshot of the state is on disk. The entries before `keep_from` are no longer kept in memory for slow
    /// members, who then get the snapshot.
    fn snapshot_saved(&mut self, snapshot: SnapshotMetadata, keep_from: LogIndex);

    /// The entries before `keep_from` need not be kept in memory any longer: those that are applied here are forgotten,
    /// as far as this member knows that all others have them. Who turns out to lack one gets a snapshot.
    fn forget(&mut self, keep_from: LogIndex);

    /// What the caller has to do now.
    fn output(&mut self, now: Monotonic) -> Output;

    /// Who leads. Cheap.
    fn standing(&self) -> Standing;

    /// How things stand. Not cheap: for people.
    fn status(&self) -> Status;

    /// How far this member knows the log to be committed. Cheap.
    fn commit(&self) -> LogIndex;

    /// Until when this member serves reads without asking the others; none if it has to ask. Cheap.
    fn lease_until(&self) -> Option<Monotonic>;

    /// Whether this member leads and has committed an entry of its own term, so that it knows all that was
    /// committed before.
    fn is_settled_leader(&self) -> bool;
}
