//! Messages of other nodes, on the way to the replica that they are for.

use std::sync::{Arc, PoisonError};

use prost::Message as _;
use synod_proto::peer::v1::Message;
use synod_protocol::Message as AnyMessage;
use synod_protocol::raft;
use synod_replica::wire;
use synod_types::{Error, ErrorCode};

use super::{Host, group_hash};
use crate::peers::Address;
use crate::slot::{Slot, Standing};
use crate::tls::Caller;

impl Host {
    /// A message from another node. An offer of a snapshot is none: it comes with the snapshot.
    pub(crate) fn deliver(&self, caller: &Caller, message: Message, speaker: Option<&Address>) {
        let Ok(slot) = self.addressee(caller, &message) else { return };
        let (to, bytes) = (message.to, message.encoded_len());
        let message = match wire::message_from_wire(message) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(replica = slot.name(), %error, "message dropped");
                return;
            }
        };
        let AnyMessage::Raft(raft) = &message;
        if raft.snapshot.is_some() {
            tracing::debug!(replica = slot.name(), "offer of a snapshot without the snapshot dropped");
            return;
        }
        match slot.standing() {
            Standing::Running(running) if running.member.get() == to => {
                if !running.tell(message, speaker.cloned(), bytes) {
                    self.metrics.peer_message_lost();
                }
            }
            Standing::Waiting(member) if member.get() == to => self.answer_blank(&slot, message, speaker),
            _ => tracing::debug!(replica = slot.name(), to, "message for another incarnation dropped"),
        }
    }

    /// Tells a leader that a replica which waits for its first snapshot has nothing yet.
    fn answer_blank(&self, slot: &Slot, message: AnyMessage, speaker: Option<&Address>) {
        let AnyMessage::Raft(raft) = message;
        if let (Some(speaker), Some(answer)) = (speaker, raft::answer_without_log(&raft)) {
            let mut answer = wire::message_to_wire(AnyMessage::Raft(answer));
            answer.group = group_hash(slot.group());
            answer.partition = slot.partition();
            self.peers.send(speaker, answer);
        }
    }

    /// The slot that a message is for.
    ///
    /// # Errors
    /// When it is not here, or the caller is no member of that partition.
    pub(crate) fn addressee(&self, caller: &Caller, message: &Message) -> Result<Arc<Slot>, Error> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |slot: &&Arc<Slot>| {
            slot.partition() == message.partition && group_hash(slot.group()) == message.group
        };
        let slot = slots.values().find(fits).ok_or_else(|| {
            Error::new(
                ErrorCode::NotFound,
                format!("partition {} is not hosted on this node", message.partition),
            )
        })?;
        if caller.may_speak_for(slot.group(), slot.partition()) {
            return Ok(slot.clone());
        }
        let message = format!("the certificate of the caller is not for {}", slot.name());
        Err(Error::new(ErrorCode::Forbidden, message))
    }
}
