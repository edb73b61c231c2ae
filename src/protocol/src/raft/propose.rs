//! From a proposal to an entry of the log.

use bytes::Bytes;
use raft::eraftpb::{EntryType, MessageType};
use synod_types::LogIndex;

use super::Raft;
use crate::{Protocol as _, Refused};

impl Raft {
    /// Appends an entry of a leader and sends it to the others.
    pub(super) fn propose_entry(&mut self, kind: EntryType, data: Bytes) -> Result<LogIndex, Refused> {
        let mut entry = raft::eraftpb::Entry::default();
        entry.set_entry_type(kind);
        entry.data = data;
        let mut message = raft::eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.node.raft.id;
        message.set_entries(vec![entry].into());
        let proposed = self.node.step(message);
        if proposed.is_ok() {
            self.announcement.told(self.commit());
        }
        self.after_call();
        match proposed {
            Ok(()) => Ok(LogIndex(self.node.raft.raft_log.last_index())),
            Err(raft::Error::ProposalDropped) => Err(Refused::Busy),
            Err(error) => Err(Refused::Invalid(error.to_string())),
        }
    }
}
