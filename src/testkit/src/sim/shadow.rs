//! What the simulator knows of the log of each member, from what the member wanted written: what it has, and what of
//! that is durable.

use std::collections::VecDeque;

use synod_protocol::raft::Start;
use synod_protocol::{Entry, HardState, Persist, Token};
use synod_types::{LogIndex, Term};

/// A log as its member has it.
#[derive(Clone, Debug, Default)]
pub(super) struct ShadowLog {
    /// Everything up to this entry is in a snapshot.
    base: (LogIndex, Term),
    entries: VecDeque<Entry>,
}

impl ShadowLog {
    fn begin(start: &Start) -> Self {
        let base = (start.snapshot.index, start.snapshot.term);
        Self { base, entries: start.entries.iter().cloned().collect() }
    }

    /// The last entry that is in the snapshot.
    pub(super) const fn base(&self) -> (LogIndex, Term) {
        self.base
    }

    /// The last entry.
    pub(super) fn last(&self) -> (LogIndex, Term) {
        self.entries.back().map_or(self.base, |entry| (entry.index, entry.term))
    }

    /// An entry behind the snapshot.
    pub(super) fn get(&self, index: LogIndex) -> Option<&Entry> {
        let place = index.get().checked_sub(self.base.0.get() + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The term of an entry; none for one that is not there, or that only the snapshot holds.
    pub(super) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.0 { Some(self.base.1) } else { self.get(index).map(|entry| entry.term) }
    }

    /// Whether this entry is there, in the log or in the snapshot.
    pub(super) fn holds(&self, index: LogIndex, term: Term) -> bool {
        index < self.base.0 || self.term(index) == Some(term)
    }

    /// All entries behind the snapshot.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn write(&mut self, persist: &Persist) {
        if let Some(snapshot) = &persist.snapshot {
            if self.term(snapshot.index) == Some(snapshot.term) {
                self.entries.retain(|entry| entry.index > snapshot.index);
            } else {
                self.entries.clear();
            }
            self.base = (snapshot.index, snapshot.term);
        }
        for entry in &persist.entries {
            while self.entries.back().is_some_and(|last| last.index >= entry.index) {
                self.entries.pop_back();
            }
            self.entries.push_back(entry.clone());
        }
    }
}

/// What one member has promised.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    /// What it has, durable or not.
    pub(super) log: ShadowLog,
    /// What was reported to it as durable.
    pub(super) durable: ShadowLog,
    pub(super) hard_state: HardState,
    writing: VecDeque<Persist>,
}

impl Shadow {
    /// The member starts from this, all of which is on disk.
    pub(super) fn start(&mut self, start: &Start) {
        self.log = ShadowLog::begin(start);
        self.durable = self.log.clone();
        self.hard_state = start.hard_state;
        self.writing.clear();
    }

    /// It wants something written.
    pub(super) fn write(&mut self, persist: &Persist) {
        self.log.write(persist);
        self.writing.push_back(persist.clone());
    }

    /// Whether it has on disk that this entry is committed.
    pub(super) fn knows_committed(&self, index: LogIndex) -> bool {
        self.hard_state.commit >= index || self.durable.base.0 >= index
    }

    /// It is told that everything up to this write is durable.
    pub(super) fn persisted(&mut self, token: Token) {
        while let Some(persist) = self.writing.pop_front_if(|persist| persist.token <= token) {
            self.durable.write(&persist);
            self.hard_state = persist.hard_state.unwrap_or(self.hard_state);
        }
    }
}
