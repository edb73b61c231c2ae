//! From the crate's `Ready`s to an [`Output`], with durability in the background.
//!
//! The leader's messages leave at once, so that its followers write while it writes (raft thesis §10.2.1). A
//! follower's messages wait until what they promise is durable; only its answers to heartbeats promise nothing that
//! the disk must know, once the term itself is durable.

use std::collections::VecDeque;

use raft::eraftpb::{self, MessageType};
use synod_types::{LogIndex, MemberId, Term};

use super::{Message, Raft, log};
use crate::{HardState, Message as AnyMessage, Output, Persist, Protocol as _, Token};

/// Readies that are not durable yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    readies: VecDeque<HeldReady>,
    /// Messages whose time has come.
    released: Vec<eraftpb::Message>,
}

#[derive(Debug)]
struct HeldReady {
    number: Token,
    /// It has something to write.
    writes: bool,
    term: Term,
    messages: Vec<eraftpb::Message>,
}

impl Raft {
    /// Everything up to `token` is durable.
    pub(super) fn release(&mut self, token: Token) {
        while let Some(ready) = self.held.readies.front() {
            if ready.writes && ready.number > token {
                break;
            }
            let Some(ready) = self.held.readies.pop_front() else {
                break;
            };
            self.durable_term = self.durable_term.max(ready.term);
            self.node.on_persist_ready(ready.number);
            self.held.released.extend(ready.messages);
        }
        self.after_call();
    }

    /// Takes everything that the crate has ready.
    pub(super) fn collect(&mut self) -> Output {
        let mut output = Output::default();
        let mut persist = Persist::default();
        loop {
            // A read that came before the leader was settled begins its round as soon as it is.
            if self.reads_waiting.is_some() && self.is_settled_leader() {
                self.begin_round();
            }
            if !self.node.has_ready() {
                break;
            }
            self.take_ready(&mut output, &mut persist);
            self.release(0);
        }
        for message in std::mem::take(&mut self.held.released) {
            route(message, &mut output);
        }
        if persist.token > 0 {
            output.persist = Some(persist);
        }
        output.reads = std::mem::take(&mut self.reads_ready);
        output.snapshot_wanted = self.node.store().take_snapshot_wanted();
        output
    }

    fn take_ready(&mut self, output: &mut Output, persist: &mut Persist) {
        let mut ready = self.node.ready();
        for message in ready.take_messages() {
            route(message, output);
        }
        for state in ready.take_read_states() {
            if let Ok(round) = <[u8; 8]>::try_from(state.request_ctx.as_slice()) {
                self.round_confirmed(u64::from_be_bytes(round), LogIndex(state.index));
            }
        }
        let number = ready.number();
        let writes = ready.must_sync();
        if let Some(hard_state) = ready.hs() {
            self.note_hard_state(log::hard_state_from_raft(hard_state), writes, persist);
        }
        if !ready.snapshot().is_empty() {
            let metadata = log::metadata_from_raft(ready.snapshot().get_metadata());
            self.node.mut_store().restore(metadata.clone());
            persist.snapshot = Some(metadata.clone());
            output.restored = Some(metadata);
            output.committed.clear();
        }
        self.node.mut_store().append(ready.entries());
        persist.entries.extend(ready.take_entries().into_iter().map(log::entry_from_raft));
        if writes {
            persist.token = number;
        }
        output.committed.extend(ready.take_committed_entries().into_iter().map(log::entry_from_raft));
        let mut messages = ready.take_persisted_messages();
        if self.durable_term == self.term() {
            messages.retain(|message| {
                let promises = message.msg_type != MessageType::MsgHeartbeatResponse;
                if !promises {
                    route(message.clone(), output);
                }
                promises
            });
        }
        self.held.readies.push_back(HeldReady { number, writes, term: self.term(), messages });
        self.node.advance_append_async(ready);
    }

    /// Notes a new hard state. One in which only the commit index moved is not worth a write of its own.
    fn note_hard_state(&mut self, hard_state: HardState, writes: bool, persist: &mut Persist) {
        self.node.mut_store().set_hard_state(hard_state);
        if writes || persist.token > 0 {
            persist.hard_state = Some(hard_state);
        }
    }
}

/// Sorts a message by how it travels.
fn route(message: eraftpb::Message, output: &mut Output) {
    let to = MemberId(message.to);
    let carries_snapshot = message.msg_type == MessageType::MsgSnapshot;
    let message = AnyMessage::Raft(Message::from_raft(message));
    if carries_snapshot {
        output.send_snapshot.push((to, message));
    } else {
        output.send.push((to, message));
    }
}
