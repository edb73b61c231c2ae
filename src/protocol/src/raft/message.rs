//! Raft's messages as plain data, and their mapping to those of the crate `raft`.
//!
//! Nothing from the network reaches the crate's protobuf decoder: a message is decoded elsewhere, checked here, and
//! built field by field. Messages that the crate takes for local ones, or that only a broken member sends, are
//! refused: it panics on some of them.

use bytes::Bytes;
use raft::eraftpb::{self, MessageType};
use synod_types::{LogIndex, MemberId, Term};

use super::log;
use crate::{Entry, Refused, SnapshotMetadata};

/// A raft message. The fields are those of `eraftpb::Message`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The number of the message type.
    pub kind: u32,
    /// The sender.
    pub from: MemberId,
    /// The receiver.
    pub to: MemberId,
    /// The sender's term; in a request for a pre-vote, the term it would campaign for.
    pub term: Term,
    /// The term of the entry at `index`.
    pub log_term: Term,
    /// Depends on the kind; in an append, the index before the first entry.
    pub index: LogIndex,
    /// The entries of an append.
    pub entries: Vec<Entry>,
    /// How far the sender knows the log to be committed.
    pub commit: LogIndex,
    /// The term of the entry at `commit`.
    pub commit_term: Term,
    /// Where the snapshot stands, in an offer of one.
    pub snapshot: Option<SnapshotMetadata>,
    /// In a rejection: the follower wants a snapshot from this index.
    pub request_snapshot: LogIndex,
    /// It is a rejection.
    pub reject: bool,
    /// In a rejected append: where the logs may still agree.
    pub reject_hint: LogIndex,
    /// A read round, or the mark of a transfer.
    pub context: Bytes,
    /// The sender's election priority.
    pub priority: i64,
}

/// The kinds that may come from another member.
const FOREIGN: [MessageType; 10] = [
    MessageType::MsgAppend,
    MessageType::MsgAppendResponse,
    MessageType::MsgRequestVote,
    MessageType::MsgRequestVoteResponse,
    MessageType::MsgSnapshot,
    MessageType::MsgHeartbeat,
    MessageType::MsgHeartbeatResponse,
    MessageType::MsgTimeoutNow,
    MessageType::MsgRequestPreVote,
    MessageType::MsgRequestPreVoteResponse,
];

impl Message {
    /// Takes a message that the crate wants to send.
    pub(super) fn from_raft(mut message: eraftpb::Message) -> Self {
        let snapshot =
            message.snapshot.as_ref().map(|snapshot| log::metadata_from_raft(snapshot.get_metadata()));
        Self {
            kind: message.msg_type as u32,
            from: MemberId(message.from),
            to: MemberId(message.to),
            term: Term(message.term),
            log_term: Term(message.log_term),
            index: LogIndex(message.index),
            entries: message.take_entries().into_iter().map(log::entry_from_raft).collect(),
            commit: LogIndex(message.commit),
            commit_term: Term(message.commit_term),
            snapshot,
            request_snapshot: LogIndex(message.request_snapshot),
            reject: message.reject,
            reject_hint: LogIndex(message.reject_hint),
            context: message.take_context(),
            priority: message.priority,
        }
    }

    /// Checks a message that came from another member and makes it one of the crate's.
    pub(super) fn into_raft(self) -> Result<eraftpb::Message, Refused> {
        let kind = FOREIGN
            .into_iter()
            .find(|kind| *kind as u32 == self.kind)
            .ok_or_else(|| Refused::Invalid(format!("unexpected raft message kind {}", self.kind)))?;
        self.check(kind)?;
        let mut message = eraftpb::Message::default();
        message.set_msg_type(kind);
        message.from = self.from.get();
        message.to = self.to.get();
        message.term = self.term.get();
        message.log_term = self.log_term.get();
        message.index = self.index.get();
        message.set_entries(self.entries.into_iter().map(log::entry_into_raft).collect::<Vec<_>>().into());
        message.commit = self.commit.get();
        message.commit_term = self.commit_term.get();
        if let Some(metadata) = &self.snapshot {
            message.set_snapshot(log::snapshot_into_raft(metadata));
        }
        message.request_snapshot = self.request_snapshot.get();
        message.reject = self.reject;
        message.reject_hint = self.reject_hint.get();
        message.context = self.context;
        message.priority = self.priority;
        Ok(message)
    }

    /// What the crate takes for granted, and would panic or go astray without.
    fn check(&self, kind: MessageType) -> Result<(), Refused> {
        let invalid = |what: &str| Err(Refused::Invalid(format!("raft message {kind:?} {what}")));
        if self.from.get() == 0 || self.from == self.to {
            return invalid("has no proper sender");
        }
        if self.term.get() == 0 {
            return invalid("has no term");
        }
        if !self.entries.is_empty() && kind != MessageType::MsgAppend {
            return invalid("carries entries");
        }
        let (mut index, mut term) = (self.index, self.log_term);
        for entry in &self.entries {
            if entry.index != index.next() || entry.term < term || entry.term > self.term {
                return invalid("carries entries out of order");
            }
            (index, term) = (entry.index, entry.term);
        }
        let offers_snapshot = self.snapshot.as_ref().is_some_and(|snapshot| snapshot.index.get() > 0);
        if offers_snapshot != (kind == MessageType::MsgSnapshot) {
            return invalid("and its snapshot do not fit");
        }
        Ok(())
    }

    /// Whether it asks for a vote, or whether one would be given.
    pub(super) fn asks_for_vote(&self) -> bool {
        self.is(MessageType::MsgRequestVote) || self.is(MessageType::MsgRequestPreVote)
    }

    /// Whether it is of this kind.
    pub(super) const fn is(&self, kind: MessageType) -> bool {
        self.kind == kind as u32
    }
}

/// What a member answers that waits for its first snapshot: that it has nothing. It acknowledges no entry and gives no
/// vote, so nothing of it need be remembered.
pub fn answer_without_log(message: &Message) -> Option<Message> {
    let reject = message.is(MessageType::MsgAppend);
    let kind = match () {
        () if reject => MessageType::MsgAppendResponse,
        () if message.is(MessageType::MsgHeartbeat) => MessageType::MsgHeartbeatResponse,
        () => return None,
    };
    Some(Message {
        kind: kind as u32,
        from: message.to,
        to: message.from,
        term: message.term,
        index: if reject { message.index } else { LogIndex(0) },
        reject,
        ..Message::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryKind;

    fn append(entries: &[(u64, u64)]) -> Message {
        let entry = |(term, index): &(u64, u64)| Entry {
            term: Term(*term),
            index: LogIndex(*index),
            kind: EntryKind::Normal,
            data: Bytes::from_static(b"x"),
        };
        Message {
            kind: MessageType::MsgAppend as u32,
            from: MemberId(1),
            to: MemberId(2),
            term: Term(3),
            log_term: Term(2),
            index: LogIndex(7),
            entries: entries.iter().map(entry).collect(),
            ..Message::default()
        }
    }

    #[test]
    fn a_message_survives_the_mapping() {
        let message = append(&[(2, 8), (3, 9)]);
        assert_eq!(Message::from_raft(message.clone().into_raft().unwrap()), message);
    }

    #[test]
    fn what_no_correct_member_sends_is_refused() {
        let bad = [
            append(&[(2, 9)]),
            append(&[(3, 8), (2, 9)]),
            append(&[(4, 8)]),
            Message { term: Term(0), ..append(&[]) },
            Message { from: MemberId(0), ..append(&[]) },
            Message { from: MemberId(2), ..append(&[]) },
            Message { kind: MessageType::MsgHeartbeat as u32, ..append(&[(2, 8)]) },
            Message { kind: MessageType::MsgSnapshot as u32, ..append(&[]) },
            Message {
                snapshot: Some(SnapshotMetadata { index: LogIndex(1), ..Default::default() }),
                ..append(&[])
            },
        ];
        let local = [
            MessageType::MsgHup,
            MessageType::MsgBeat,
            MessageType::MsgPropose,
            MessageType::MsgCheckQuorum,
            MessageType::MsgTransferLeader,
            MessageType::MsgSnapStatus,
            MessageType::MsgUnreachable,
            MessageType::MsgReadIndex,
            MessageType::MsgReadIndexResp,
        ];
        let local = local.into_iter().map(|kind| Message { kind: kind as u32, ..append(&[]) });
        for message in bad.into_iter().chain(local).chain([Message { kind: 99, ..append(&[]) }]) {
            assert!(matches!(message.clone().into_raft(), Err(Refused::Invalid(_))), "{message:?}");
        }
    }
}
