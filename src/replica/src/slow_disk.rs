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
pub(crate) struct Writing {
    /// The last write that was handed out.
    last: Token,
    /// Since when the disk is at the first of those that are not durable yet.
    since: Monotonic,
}

impl Writing {
    /// A write is handed out, behind those that are under way.
    pub(crate) fn begin(under_way: Option<Self>, token: Token, now: Monotonic) -> Self {
        Self { last: token, since: under_way.map_or(now, |writing| writing.since) }
    }

    /// A write is durable. What is left, if anything.
    pub(crate) fn done(self, token: Token, now: Monotonic) -> Option<Self> {
        (self.last > token).then_some(Self { since: now, ..self })
    }
}

impl Replica {
    /// Hands leadership over if the disk here holds up what the others have committed.
    ///
    /// It may fail, for the other may be gone by now; it is tried again, but not before that must have shown.
    pub(crate) fn leave_to_the_faster(&mut self) {
        let Some(writing) = self.writing else { return };
        let is_held_up = self.protocol.commit() > self.machine.applied().log_index;
        let is_due = self.now >= self.stays_until.max(writing.since + self.options.disk_patience);
        if !is_held_up || !is_due || self.protocol.standing().role != Role::Leader {
            return;
        }
        self.stays_until = self.now + self.options.transfer_timeout;
        if let Some(heir) = heir(&self.protocol.status(), self.member) {
            // Refused only if this member leads no more.
            let _ = self.protocol.transfer(heir);
        }
    }
}
