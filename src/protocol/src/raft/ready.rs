//! From the crate's `Ready`s to an [`Output`], with durability in the background.
//!
//! The leader's messages leave at once, so that its followers write while it writes (raft thesis §10.2.1). A
//! follower's messages wait until what they promise is durable; only its answers to heartbeats promise nothing that
//! the disk must know, once the term itself is durable.

use std::collections::VecDeque;

use raft::eraftpb::{self, EntryType, MessageType};
use synod_types::{LogIndex, MemberId, Term};

use super::{Message, Raft, log};
use crate::{HardState, Message as AnyMessage, Output, Persist, Protocol as _, Token};

/// Readies that are not durable yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    readies: VecDeque<HeldReady>,
    /// Messages whose time has come.
    released: Vec<eraftpb::Message>,
    /// The last hard state that was handed out to be written.
    hard_state: HardState,
}

#[derive(Debug)]
struct HeldReady {
    number: Token,
    /// It has something to write.
    writes: bool,
    term: Term,
    /// It begins the log anew after a snapshot that stands here.
    snapshot: Option<LogIndex>,
    messages: Vec<eraftpb::Message>,
}

impl Held {
    /// Whether the log is begun anew after a snapshot, and that is not durable yet. Until it is, the crate does not take
    /// the snapshot for applied, looks for what comes before it, and panics in a campaign.
    pub(super) fn is_installing(&self) -> bool {
        self.readies.iter().any(|ready| ready.snapshot.is_some())
    }
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
            if let Some(index) = ready.snapshot {
                self.node.advance_apply_to(index.get());
            }
            self.held.released.extend(ready.messages);
        }
        self.after_call();
    }

    /// The first entry of the log that is not applied here, or that a member is not known to have.
    pub(super) fn needed_from(&self) -> LogIndex {
        let raft = &self.node.raft;
        let lacking =
            raft.prs().iter().map(|(_, progress)| progress.matched).min().filter(|_| self.is_leader());
        LogIndex(lacking.unwrap_or(u64::MAX).min(raft.raft_log.applied)).next()
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
            let hard_state = self.node.store().hard_state();
            if hard_state != self.held.hard_state {
                self.held.hard_state = hard_state;
                persist.hard_state = Some(hard_state);
            }
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
        // That the commit index moved is not worth a write of its own and goes with the next one, unless the membership
        // changes: the new one is counted on at once, also by whoever replaces members.
        let changes_membership =
            ready.committed_entries().iter().any(|entry| entry.entry_type != EntryType::EntryNormal);
        let writes = ready.must_sync() || changes_membership;
        if let Some(hard_state) = ready.hs() {
            self.node.mut_store().set_hard_state(log::hard_state_from_raft(hard_state));
        }
        let mut snapshot = None;
        if !ready.snapshot().is_empty() {
            let metadata = log::metadata_from_raft(ready.snapshot().get_metadata());
            snapshot = Some(metadata.index);
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
        self.held.readies.push_back(HeldReady { number, writes, term: self.term(), snapshot, messages });
        self.node.advance_append_async(ready);
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
