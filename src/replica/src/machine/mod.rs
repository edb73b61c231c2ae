//! The deterministic half of a replica: what applying an entry does to the state.
//!
//! Equal entries give equal state on every replica and in every run. Everything here is derived from the log: the
//! time, the sessions, the results, the history. What a leader keeps for itself is in `leader`.
//!
//! Layout of what this module persists, beside what `synod-primitives` does:
//!
//! | table | key | value |
//! |---|---|---|
//! | `Meta` | `configuration` | 1, `Configuration` message |
//! | `Meta` | `applied` | 1, `Applied` message, without `state_hash` |
//! | `Meta` | `membership` | 1, `Membership` message |
//! | `Meta` | `member/` id(8) | 1, `Member` message |
//! | `Sessions` | session(8) | 1, `SessionRecord` message |
//! | `Results` | session(8) sequence(8) | 1, `ResultRecord` message |
//! | snapshot section 128 | position(8) | 1, `Event` message with the filter key: see [`History`] |

mod batch;
mod history;
mod meta;
mod sessions;

pub use history::{History, Recorded};
pub use meta::{Applied, Configuration, Genesis, Members};

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::{Change, Environment};
use synod_proto::log::v1 as wire;
use synod_proto::types::v1::Member;
use synod_protocol::{Entry, EntryKind, Membership};
use synod_storage::state::{Fault, StateHash, StateStore};
use synod_types::{Error, Index, LogIndex, LogTime, MemberId, Position, SessionId, Term};

/// How far counting goes on beyond what is lost: more than any partition has ever lost, and little enough for a million
/// such gaps in a number that survives JSON.
const GAP: u64 = 1 << 32;

/// What came of one proposal of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The index of the command; for a result that is replayed, of the command when it was executed.
    pub index: Index,
    /// The encoded response, or the error that is the result. For an opened session: empty, the id is `index`.
    pub result: Result<Bytes, Error>,
}

/// What applying an entry brought about, beside the new state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// One for each proposal of the entry, in order.
    pub outcomes: Vec<Outcome>,
    /// The sessions that were opened.
    pub opened: Vec<(SessionId, u64)>,
    /// The sessions that ended.
    pub closed: Vec<SessionId>,
}

/// What commands may know beside the store.
struct Frame {
    configuration: Configuration,
    applied: Applied,
}

impl Frame {
    const fn environment(&self, index: Index, session: SessionId) -> Environment<'_> {
        Environment {
            limits: &self.configuration.limits,
            placement: &self.configuration.placement,
            index,
            position: self.applied.position,
            now: self.applied.time,
            leader_since: self.applied.leader_since,
            session,
        }
    }
}

/// The state machine of a partition.
pub struct Machine {
    store: Box<dyn StateStore>,
    frame: Frame,
    members: Members,
    history: History,
    sessions_open: u64,
    /// When the first timer fires. It is asked for far more often than it changes.
    next_deadline: Option<LogTime>,
    changes: Vec<Change>,
}

impl Machine {
    /// The machine whose state is in `store`.
    ///
    /// # Errors
    /// [`Fault`] when the store cannot be read or holds no state of a partition.
    pub fn load(store: Box<dyn StateStore>, history: History) -> Result<Self, Fault> {
        let frame = Frame { configuration: Configuration::load(&*store)?, applied: Applied::load(&*store)? };
        let members = Members::load(&*store)?;
        let position = frame.applied.position;
        let history = if history.is_empty() { History::after(position) } else { history };
        if history.last() != position {
            return Err(Fault(format!("the history ends at {}, the state at {position}", history.last())));
        }
        let sessions_open = sessions::count(&*store)?;
        let next_deadline = synod_primitives::next_deadline(&*store)?;
        Ok(Self { store, frame, members, history, sessions_open, next_deadline, changes: Vec::new() })
    }

    /// What the partition is configured to.
    pub const fn configuration(&self) -> &Configuration {
        &self.frame.configuration
    }

    /// How far the state has come.
    pub const fn applied(&self) -> Applied {
        self.frame.applied
    }

    /// Who takes part, with addresses.
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// The changes that watchers can still see.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The timeout of an open session, in milliseconds.
    ///
    /// # Errors
    /// [`Fault`] when the store cannot be read.
    pub fn session_timeout_ms(&self, session: SessionId) -> Result<Option<u64>, Fault> {
        Ok(sessions::load(&*self.store, session)?.map(|record| record.timeout_ms))
    }

    /// Every open session with its timeout in milliseconds.
    ///
    /// # Errors
    /// [`Fault`] when the store cannot be read.
    pub fn session_timeouts_ms(&self) -> Result<Vec<(SessionId, u64)>, Fault> {
        sessions::timeouts(&*self.store)
    }

    /// How many sessions are open.
    pub const fn sessions_open(&self) -> u64 {
        self.sessions_open
    }

    /// When the first timer fires, if there is one.
    pub const fn next_deadline(&self) -> Option<LogTime> {
        self.next_deadline
    }

    /// The state.
    pub fn store(&self) -> &dyn StateStore {
        &*self.store
    }

    /// The hash of all of the state.
    pub fn state_hash(&self) -> StateHash {
        self.store.hash()
    }

    /// The environment in which a query runs.
    pub fn query_environment(&self) -> Environment<'_> {
        self.frame.environment(self.frame.applied.index, SessionId::default())
    }

    /// Applies a normal entry: moves time, fires timers, then executes the proposals in order.
    ///
    /// # Errors
    /// [`Fault`] when the store fails or the entry cannot be read: the replica must stop.
    pub fn apply(&mut self, entry: &Entry) -> Result<Effects, Fault> {
        let mut effects = Effects::default();
        if !entry.data.is_empty() {
            let batch = wire::Batch::decode(entry.data.clone())
                .map_err(|error| Fault(format!("log entry {} cannot be read: {error}", entry.index)))?;
            self.apply_batch(batch, &mut effects)?;
        }
        self.finish(entry.index, entry.term)?;
        Ok(effects)
    }

    /// Applies a membership entry, of which the protocol made `membership`; `about` describes a member that joins.
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub fn apply_membership(
        &mut self,
        entry: &Entry,
        membership: Membership,
        about: &Bytes,
    ) -> Result<(), Fault> {
        self.members.change(&mut *self.store, membership, about)?;
        self.finish(entry.index, entry.term)
    }

    /// Applies the end of a log whose majority is lost: what it says about members counts no more.
    ///
    /// # Errors
    /// [`Fault`] when the store fails or an entry cannot be read.
    pub fn apply_without_members(&mut self, entry: &Entry) -> Result<(), Fault> {
        match entry.kind {
            EntryKind::Normal => self.apply(entry).map(drop),
            EntryKind::Membership => self.finish(entry.index, entry.term),
        }
    }

    /// Makes this the state of a partition that goes on with `member` alone, in a term after `term`. Whatever was counted
    /// in what is lost is not counted again: indexes, positions and the term leave a gap, and nobody can watch across it.
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub fn go_on_alone(&mut self, member: &Member, term: Term) -> Result<(), Fault> {
        let applied = &mut self.frame.applied;
        applied.index = Index(applied.index.get().saturating_add(GAP));
        applied.position = Position(applied.position.get().saturating_add(GAP));
        let log_index = LogIndex(applied.log_index.get().saturating_add(GAP));
        self.history = History::after(applied.position);
        let voters = Membership::of_voters([MemberId(member.id)]);
        self.members.change(&mut *self.store, voters, &member.encode_to_vec().into())?;
        self.finish(log_index, Term(term.get().saturating_add(GAP)))
    }

    /// Ends the step of one entry.
    fn finish(&mut self, log_index: LogIndex, term: Term) -> Result<(), Fault> {
        let applied = &mut self.frame.applied;
        applied.log_index = log_index;
        applied.term = term;
        applied.save(&mut *self.store)?;
        self.next_deadline = synod_primitives::next_deadline(&*self.store)?;
        self.store.commit()
    }

    /// Gives the changes since the last call their places in the history.
    fn record_changes(&mut self) {
        for change in self.changes.drain(..) {
            let position = self.frame.applied.position.next();
            self.frame.applied.position = position;
            self.history.push(position, change);
        }
        self.history.trim(&self.frame.configuration.limits);
    }
}
