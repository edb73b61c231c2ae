//! A leader whose disk falls behind those of the others leaves the lead to one of them.
//!
//! A leader answers a write once it has applied it, and it applies only what its own disk has. A disk that takes a second
//! for a sync would so hold up a partition whose other members could go on without it. That the others are faster is
//! known, and not guessed: they have committed what is not yet durable here. When all disks are slow nobody hands over.

use synod_protocol::{Role, Token};
use synod_types::Monotonic;

use crate::admin::heir;
use crate::replica::Replica;

/// What the disk has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskWork {
    /// The last write that was handed out and is not durable yet.
    last: Option<Token>,
    /// Since when the disk is at the first of those.
    since: Monotonic,
    /// Not before this the lead is left to others once more.
    stays_until: Monotonic,
}

impl DiskWork {
    pub(crate) const fn none(now: Monotonic) -> Self {
        Self { last: None, since: now, stays_until: now }
    }

    /// Whether something is not durable yet.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.last.is_some()
    }

    /// A write is handed out, behind those that are under way.
    pub(crate) fn begin(&mut self, token: Token, now: Monotonic) {
        if self.last.replace(token).is_none() {
            self.since = now;
        }
    }

    /// A write is durable, and with it every earlier one.
    pub(crate) fn done(&mut self, token: Token, now: Monotonic) {
        self.last = self.last.filter(|last| *last > token);
        self.since = now;
    }
}

impl Replica {
    /// Hands leadership over if the disk here holds up what the others have committed.
    ///
    /// It may fail, for the other may be gone by now; it is tried again, but not before that must have shown.
    pub(crate) fn leave_to_the_faster(&mut self) {
        let is_held_up =
            self.disk.is_under_way() && self.protocol.commit() > self.machine.applied().log_index;
        let is_due = self.now >= self.disk.stays_until.max(self.disk.since + self.options.disk_patience);
        if !is_held_up || !is_due || self.protocol.standing().role != Role::Leader {
            return;
        }
        self.disk.stays_until = self.now + self.options.transfer_timeout;
        if let Some(heir) = heir(&self.protocol.status(), self.member) {
            // Refused only if this member leads no more.
            let _ = self.protocol.transfer(heir);
        }
    }
}
