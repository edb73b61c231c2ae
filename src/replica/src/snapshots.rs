//! When a snapshot of the state is taken, and what is forgotten of the log behind it.

use std::collections::VecDeque;
use std::time::Duration;

use synod_protocol::SnapshotMetadata;
use synod_types::{Error, ErrorCode, LogIndex, Monotonic};

use crate::Effect;
use crate::event::{Options, SnapshotJob};
use crate::replica::Replica;

/// How long a replica waits after a snapshot that failed: what was wrong, a full disk, is seldom mended at once.
const RETRY: Duration = Duration::from_secs(5);

/// The log since the newest snapshot, and the snapshot under way.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// Applied entries that are kept in memory: (index, bytes), oldest first.
    sizes: VecDeque<(LogIndex, u64)>,
    bytes_in_memory: u64,
    /// Applied since the newest snapshot.
    bytes_since: u64,
    /// How many of those the snapshot under way includes.
    bytes_included: u64,
    /// The size of the newest snapshot.
    newest_bytes: u64,
    newest: SnapshotMetadata,
    under_way: bool,
    wanted: bool,
    /// None is begun before this moment.
    not_before: Monotonic,
    /// Why the last one could not be saved, if it could not.
    problem: Option<Error>,
}

impl Snapshots {
    pub(crate) fn new(newest: SnapshotMetadata, newest_bytes: u64) -> Self {
        Self { newest, newest_bytes, ..Self::default() }
    }

    /// Another member wants a snapshot, whatever the log has grown to.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// The operator wants a snapshot, whatever came of the last one.
    pub(crate) fn want_now(&mut self) {
        self.wanted = true;
        self.not_before = Monotonic::default();
    }

    pub(crate) fn applied(&mut self, index: LogIndex, bytes: usize) {
        // 64 bytes stand for the framing of a record.
        let bytes = bytes as u64 + 64;
        self.sizes.push_back((index, bytes));
        self.bytes_in_memory += bytes;
        self.bytes_since += bytes;
    }

    /// Which entry is the first to keep in memory, if more is there than this.
    fn surplus(&mut self, bytes_max: u64) -> Option<LogIndex> {
        let mut keep_from = None;
        while self.bytes_in_memory > bytes_max
            && let Some((index, bytes)) = self.sizes.pop_front()
        {
            self.bytes_in_memory -= bytes;
            keep_from = Some(index.next());
        }
        keep_from
    }

    /// Why the last one could not be saved; nothing if it could, or if there is a newer one.
    pub(crate) const fn problem(&self) -> Option<&Error> {
        self.problem.as_ref()
    }

    /// Where the newest snapshot stands.
    pub(crate) const fn newest(&self) -> &SnapshotMetadata {
        &self.newest
    }

    /// Notes a snapshot that is durable and returns the first entry to keep, so that `tail_bytes` stay behind it.
    fn saved(&mut self, metadata: SnapshotMetadata, bytes: u64, tail_bytes: u64) -> LogIndex {
        let mut keep_from = metadata.index.next();
        let mut tail = 0;
        for (index, size) in self.sizes.iter().rev().filter(|(index, _)| *index <= metadata.index) {
            tail += size;
            if tail > tail_bytes {
                break;
            }
            keep_from = *index;
        }
        self.bytes_since = self.bytes_since.saturating_sub(self.bytes_included);
        self.sizes.retain(|(index, _)| *index >= keep_from);
        self.bytes_in_memory = self.sizes.iter().map(|(_, bytes)| bytes).sum();
        self.newest = metadata;
        self.newest_bytes = bytes;
        keep_from
    }
}

impl Replica {
    /// Forgets the oldest of the log in memory, long before the next snapshot: whoever still needs it keeps it there.
    pub(crate) fn shorten_log(&mut self) {
        let Options { snapshot_log_bytes, log_tail_bytes, .. } = self.options;
        if let Some(keep_from) = self.snapshots.surplus((snapshot_log_bytes / 4).max(log_tail_bytes)) {
            self.protocol.forget(keep_from);
        }
    }

    /// Begins a snapshot if one is due and none is under way.
    pub(crate) fn take_snapshot_if_due(&mut self) {
        let threshold = self.options.snapshot_log_bytes.max(self.snapshots.newest_bytes / 2);
        let due = self.snapshots.wanted || self.snapshots.bytes_since >= threshold;
        if !due || self.snapshots.under_way || self.now < self.snapshots.not_before {
            return;
        }
        self.snapshots.wanted = false;
        self.snapshots.under_way = true;
        self.snapshots.bytes_included = self.snapshots.bytes_since;
        let applied = self.machine.applied();
        let metadata = SnapshotMetadata {
            index: applied.log_index,
            term: applied.term,
            membership: self.machine.members().membership().clone(),
        };
        self.effects.push(Effect::SaveSnapshot(SnapshotJob {
            metadata,
            state: self.machine.store().snapshot(),
            history: self.machine.history().clone(),
        }));
    }

    /// A snapshot is durable. The log up to the one before it can go: should the newest be found damaged, the replica
    /// goes on from the older one and the log behind that. In memory a tail stays for members that are a little slow.
    pub(crate) fn snapshot_saved(&mut self, metadata: SnapshotMetadata, outcome: Result<u64, Error>) {
        self.snapshots.under_way = false;
        self.snapshots.problem = None;
        let index = metadata.index;
        let outcome = match outcome {
            Ok(_) if index < self.snapshots.newest.index => Ok(index),
            Ok(bytes) => {
                let tail = self.options.log_tail_bytes;
                let previous = self.snapshots.newest.clone();
                let keep_from = self.snapshots.saved(metadata.clone(), bytes, tail);
                self.effects.push(Effect::TruncateLog(previous.index, previous.term));
                self.protocol.snapshot_saved(metadata, keep_from);
                Ok(index)
            }
            Err(error) => {
                let error = error.within("the snapshot could not be saved");
                self.snapshots.not_before = self.now + RETRY;
                self.snapshots.problem = Some(error.clone());
                // Also one that nothing but a request made due: else nobody would see that all is well again.
                self.snapshots.wanted = true;
                Err(error)
            }
        };
        self.answer_snapshot_requests(&outcome);
    }

    /// The state was replaced by a snapshot of another member.
    pub(crate) fn snapshot_restored(&mut self, metadata: SnapshotMetadata, bytes: u64) {
        self.snapshots.sizes.clear();
        self.snapshots.bytes_in_memory = 0;
        self.snapshots.bytes_since = 0;
        self.snapshots.newest = metadata;
        self.snapshots.newest_bytes = bytes;
        self.snapshots.problem = None;
        let outcome =
            Err(Error::new(ErrorCode::Unavailable, "the state was replaced by a snapshot: try again"));
        self.answer_snapshot_requests(&outcome);
    }
}
