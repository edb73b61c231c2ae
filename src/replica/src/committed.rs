//! What is committed: entries are applied to the machine, in order, and the state of another member takes its place.

use bytes::Bytes;
use synod_proto::session::v1::{Opened, reply};
use synod_protocol::{EntryKind, SnapshotMetadata};
use synod_storage::state::{Fault, StateStore};
use synod_types::{Error, Index};

use crate::event::Effect;
use crate::machine::{History, Machine};
use crate::proposals::Waiter;
use crate::replica::Replica;

/// A snapshot that came from another member and is about to be stepped.
pub(crate) struct Received {
    pub(crate) store: Box<dyn StateStore>,
    pub(crate) history: History,
    pub(crate) bytes: u64,
}

impl Replica {
    /// Takes over the state of a snapshot that the protocol accepted.
    pub(crate) fn restore(&mut self, metadata: SnapshotMetadata) -> Result<(), Fault> {
        let received =
            self.received.take().ok_or_else(|| Fault("a snapshot was accepted, but none came".into()))?;
        let machine = Machine::load(received.store, received.history)?;
        let applied = machine.applied();
        if (applied.log_index, applied.term) != (metadata.index, metadata.term) {
            let (found, offered) = (applied.log_index, metadata.index);
            return Err(Fault(format!("the snapshot was offered as of entry {offered}, but is of {found}")));
        }
        self.machine = machine;
        self.stamped = (self.machine.applied().time, self.clock.now());
        self.watches.rebase();
        self.snapshot_restored(metadata, received.bytes);
        self.effects.push(Effect::Members(self.machine.members().iter().cloned().collect()));
        Ok(())
    }

    pub(crate) fn apply(&mut self, entry: &synod_protocol::Entry) -> Result<(), Fault> {
        self.snapshots.applied(entry.index, entry.data.len());
        match entry.kind {
            EntryKind::Membership => {
                let (membership, about) =
                    self.protocol.apply_membership(entry).map_err(|refused| Fault(refused.to_string()))?;
                self.machine.apply_membership(entry, membership, &about)?;
                self.effects.push(Effect::Members(self.machine.members().iter().cloned().collect()));
            }
            EntryKind::Normal => {
                let effects = self.machine.apply(entry)?;
                // Also where time stood still: what this entry began lasts from now. The first entry of a leader is
                // empty and has no stamp.
                if !entry.data.is_empty() {
                    self.stamped = (self.machine.applied().time, self.clock.now());
                }
                self.entry_applied(entry.index, &effects.opened, &effects.closed);
                let waiters = self.proposals.applied(entry.index, entry.term);
                for (waiter, outcome) in waiters.into_iter().zip(effects.outcomes) {
                    self.answer(waiter, outcome.index, outcome.result);
                }
            }
        }
        self.protocol.applied(entry.index);
        Ok(())
    }

    fn answer(&mut self, waiter: Waiter, index: Index, result: Result<Bytes, Error>) {
        match (waiter, result) {
            (Waiter::Expiry(_), _) => {}
            (waiter, Err(error)) => self.reply_to_waiter(waiter, &error),
            (Waiter::Client(client, tag), Ok(result)) => self.reply(client, tag, reply::Body::Result(result)),
            (Waiter::Opener(client, tag), Ok(_)) => {
                self.reply(client, tag, reply::Body::Opened(Opened { session_id: index.get() }));
            }
        }
    }
}
