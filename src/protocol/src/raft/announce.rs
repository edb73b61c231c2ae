//! How followers learn what is committed.
//!
//! Every append and every heartbeat carries the commit index. The crate sends an append of its own whenever that index
//! moves, and the followers answer each: more messages than the entries themselves need. Here the next append takes it
//! along; only when none goes out for a moment, one without entries does.

use std::time::Duration;

use synod_types::{LogIndex, Monotonic};

use super::Raft;
use crate::Protocol as _;

/// How much later followers may learn that something is committed, if nothing else is to be told to them. Their watches
/// and sequential reads see it that much later.
const DELAY: Duration = Duration::from_millis(1);

/// What the followers were told.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    told: LogIndex,
    due: Option<Monotonic>,
}

impl Announcement {
    /// A message with this commit index has left for every follower that could take one.
    pub(super) fn told(&mut self, commit: LogIndex) {
        self.told = commit;
        self.due = None;
    }

    /// A leader has committed up to here.
    pub(super) fn plan(&mut self, now: Monotonic, commit: LogIndex) {
        if commit > self.told && self.due.is_none() {
            self.due = Some(now + DELAY);
        }
    }

    /// Whoever does not lead announces nothing.
    pub(super) fn cancel(&mut self) {
        *self = Self::default();
    }

    /// When to send an append for it.
    pub(super) const fn due(&self) -> Option<Monotonic> {
        self.due
    }
}

impl Raft {
    /// Tells the followers what is committed, if nothing else has.
    pub(super) fn announce_if_due(&mut self) {
        if self.announcement.due().is_some_and(|due| due <= self.now) {
            self.announcement.told(self.commit());
            self.node.raft.bcast_append();
        }
    }
}
