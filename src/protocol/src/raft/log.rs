//! The tail of the log that is kept in memory, as the storage of the crate `raft`, and the mapping of its types.
//!
//! What is here is what the write-ahead log has or is about to get. A member that needs an entry from before the tail
//! gets a snapshot.

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb::{self, ConfState, EntryType};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use synod_types::{LogIndex, MemberId, Term};

use crate::{Entry, EntryKind, HardState, Membership, SnapshotMetadata};

/// The log from some entry on, and the newest snapshot.
pub(super) struct Log {
    /// The entry before the first one in `entries`.
    before: (u64, u64),
    entries: VecDeque<eraftpb::Entry>,
    hard_state: HardState,
    /// The newest snapshot that can be sent to a member.
    snapshot: SnapshotMetadata,
    /// A member needs a newer snapshot than there is.
    snapshot_wanted: Cell<bool>,
    /// The membership that the crate starts from: as of what was applied at the start.
    membership: Membership,
}

impl Log {
    /// The log as it was found: a snapshot and what follows it. Entries that the snapshot includes are dropped.
    pub(super) fn new(hard_state: HardState, snapshot: SnapshotMetadata, entries: Vec<Entry>) -> Self {
        let entries = entries.into_iter().filter(|entry| entry.index > snapshot.index);
        Self {
            before: (snapshot.index.get(), snapshot.term.get()),
            entries: entries.map(entry_into_raft).collect(),
            hard_state,
            membership: snapshot.membership.clone(),
            snapshot,
            snapshot_wanted: Cell::new(false),
        }
    }

    /// Appends entries that follow or replace what is there.
    pub(super) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        let keep = first.index.saturating_sub(self.before.0 + 1);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.entries.extend(entries.iter().cloned());
    }

    /// Begins anew after a snapshot.
    pub(super) fn restore(&mut self, snapshot: SnapshotMetadata) {
        self.entries.clear();
        self.before = (snapshot.index.get(), snapshot.term.get());
        self.snapshot = snapshot;
    }

    /// Notes a newer snapshot and forgets the entries before `keep_from`, but none that the snapshot lacks.
    pub(super) fn compact(&mut self, snapshot: SnapshotMetadata, keep_from: LogIndex) {
        self.forget(keep_from.min(snapshot.index.next()));
        self.snapshot = snapshot;
    }

    /// Forgets the entries before `keep_from`, which must be applied. If the newest snapshot lacks some of them, a member
    /// that needs one waits for a newer snapshot.
    pub(super) fn forget(&mut self, keep_from: LogIndex) {
        while let Some(first) = self.entries.front().filter(|entry| entry.index < keep_from.get()) {
            self.before = (first.index, first.term);
            self.entries.pop_front();
        }
    }

    /// Whether a newer snapshot was asked for since the last call.
    pub(super) fn take_snapshot_wanted(&self) -> bool {
        self.snapshot_wanted.take()
    }

    pub(super) const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    pub(super) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub(super) fn first(&self) -> LogIndex {
        LogIndex(self.before.0 + 1)
    }

    fn last(&self) -> u64 {
        self.entries.back().map_or(self.before.0, |entry| entry.index)
    }

    fn at(&self, index: u64) -> Option<&eraftpb::Entry> {
        let offset = index.checked_sub(self.before.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(hard_state_into_raft(self.hard_state), membership_into_raft(&self.membership)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.before.0 {
            return Err(StorageError::Compacted.into());
        }
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0u64;
        let mut entries = Vec::new();
        for index in low..high {
            let entry = self.at(index).ok_or(StorageError::Unavailable)?;
            // 16 bytes stand for the index, the term and the framing.
            size = size.saturating_add(entry.data.len() as u64 + 16);
            if size > max_size && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.before.0 {
            return Ok(self.before.1);
        }
        if index == self.snapshot.index.get() {
            return Ok(self.snapshot.term.get());
        }
        if index < self.before.0 {
            return Err(StorageError::Compacted.into());
        }
        self.at(index).map(|entry| entry.term).ok_or_else(|| StorageError::Unavailable.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// A member ignores a snapshot in whose membership it does not appear, so a newcomer needs one from after it
    /// was added. And whoever gets one needs all entries that follow.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        let knows = self.snapshot.membership.all().contains(&MemberId(to));
        let index = self.snapshot.index.get();
        if index == 0 || index < request_index.max(self.before.0) || !knows {
            self.snapshot_wanted.set(true);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(snapshot_into_raft(&self.snapshot))
    }
}

pub(super) fn entry_from_raft(entry: eraftpb::Entry) -> Entry {
    let kind = match entry.entry_type {
        EntryType::EntryNormal => EntryKind::Normal,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::Membership,
    };
    Entry { term: Term(entry.term), index: LogIndex(entry.index), kind, data: entry.data }
}

pub(super) fn entry_into_raft(entry: Entry) -> eraftpb::Entry {
    let entry_type = match entry.kind {
        EntryKind::Normal => EntryType::EntryNormal,
        EntryKind::Membership => EntryType::EntryConfChangeV2,
    };
    eraftpb::Entry {
        entry_type,
        term: entry.term.get(),
        index: entry.index.get(),
        data: entry.data,
        ..eraftpb::Entry::default()
    }
}

pub(super) fn hard_state_from_raft(hard_state: &eraftpb::HardState) -> HardState {
    let vote = Some(MemberId(hard_state.vote)).filter(|vote| vote.get() != 0);
    HardState { term: Term(hard_state.term), vote, commit: LogIndex(hard_state.commit) }
}

fn hard_state_into_raft(hard_state: HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: hard_state.term.get(),
        vote: hard_state.vote.map_or(0, MemberId::get),
        commit: hard_state.commit.get(),
        ..eraftpb::HardState::default()
    }
}

pub(super) fn membership_from_raft(state: &ConfState) -> Membership {
    let sorted = |ids: &[u64]| {
        let mut ids: Vec<_> = ids.iter().copied().map(MemberId).collect();
        ids.sort_unstable();
        ids
    };
    Membership {
        voters: sorted(&state.voters),
        learners: sorted(&state.learners),
        voters_outgoing: sorted(&state.voters_outgoing),
        learners_next: sorted(&state.learners_next),
        auto_leave: state.auto_leave,
    }
}

pub(super) fn membership_into_raft(membership: &Membership) -> ConfState {
    let ids = |members: &[MemberId]| members.iter().map(|member| member.get()).collect::<Vec<_>>();
    ConfState {
        voters: ids(&membership.voters),
        learners: ids(&membership.learners),
        voters_outgoing: ids(&membership.voters_outgoing),
        learners_next: ids(&membership.learners_next),
        auto_leave: membership.auto_leave,
        ..ConfState::default()
    }
}

pub(super) fn metadata_from_raft(metadata: &eraftpb::SnapshotMetadata) -> SnapshotMetadata {
    SnapshotMetadata {
        index: LogIndex(metadata.index),
        term: Term(metadata.term),
        membership: membership_from_raft(metadata.get_conf_state()),
    }
}

pub(super) fn snapshot_into_raft(metadata: &SnapshotMetadata) -> eraftpb::Snapshot {
    let mut snapshot = eraftpb::Snapshot::default();
    let raft_metadata = snapshot.mut_metadata();
    raft_metadata.index = metadata.index.get();
    raft_metadata.term = metadata.term.get();
    raft_metadata.set_conf_state(membership_into_raft(&metadata.membership));
    snapshot
}
