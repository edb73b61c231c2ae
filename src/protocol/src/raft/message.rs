//! Raft's messages as plain data, and their mapping to those of the crate `raft`.
//!
//! Nothing from the network reaches the crate's protobuf decoder: a message is decoded elsewhere, checked here, and
//! built field by field. Messages that the crate takes for local ones, or that only a broken member sends, are
//! refused: it panics on some of them.

use std::collections::BTreeSet;

use bytes::Bytes;
use raft::eraftpb::{self, MessageType};
use synod_types::{LogIndex, MemberId, Term};

use super::log;
use crate::{Entry, Membership, Refused, SnapshotMetadata};

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

/// The longest context: a transfer's.
const CONTEXT_BYTES_MAX: usize = 32;

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

    /// Makes it one of the crate's. It was checked, and found to be of this kind.
    pub(super) fn into_raft(self, kind: MessageType) -> eraftpb::Message {
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
        message
    }

    /// Checks by itself a message that came from another member, and returns of which kind it is. This is what the
    /// crate takes for granted of every correct member, and would panic or go astray without.
    pub(super) fn check(&self) -> Result<MessageType, Refused> {
        let kind = FOREIGN
            .into_iter()
            .find(|kind| *kind as u32 == self.kind)
            .ok_or_else(|| Refused::Invalid(format!("unexpected raft message kind {}", self.kind)))?;
        match self.flaw(kind) {
            Some(what) => Err(Refused::Invalid(format!("raft message {kind:?} {what}"))),
            None => Ok(kind),
        }
    }

    fn flaw(&self, kind: MessageType) -> Option<&'static str> {
        let is_append = kind == MessageType::MsgAppend;
        let offers = self.snapshot.as_ref().filter(|snapshot| snapshot.index.get() > 0);
        match () {
            () if self.from.get() == 0 || self.from == self.to => Some("has no proper sender"),
            () if self.term.get() == 0 => Some("has no term"),
            () if self.log_term > self.term || self.commit_term > self.term => {
                Some("knows of entries from after its term")
            }
            // The crate takes term 0 for that of every entry which it does not have.
            () if is_append && self.log_term.get() == 0 => Some("does not say what it follows"),
            () if !is_append && !self.entries.is_empty() => Some("carries entries"),
            () if !self.entries_are_in_order() => Some("carries entries out of order"),
            () if self.reject && self.reject_hint > self.index => Some("hints at what was not sent"),
            () if self.request_snapshot.get() > 0 => Some("asks for a snapshot, which members never do"),
            () if self.context.len() > CONTEXT_BYTES_MAX => Some("has too long a context"),
            () if offers.is_some() != (kind == MessageType::MsgSnapshot) => {
                Some("and its snapshot do not fit")
            }
            () => offers.and_then(|snapshot| self.flaw_of_snapshot(snapshot)),
        }
    }

    fn entries_are_in_order(&self) -> bool {
        let mut last = (self.index, self.log_term);
        self.entries.iter().all(|entry| {
            let (index, term) = std::mem::replace(&mut last, (entry.index, entry.term));
            index.get().checked_add(1) == Some(entry.index.get()) && (term..=self.term).contains(&entry.term)
        })
    }

    fn flaw_of_snapshot(&self, snapshot: &SnapshotMetadata) -> Option<&'static str> {
        if snapshot.term.get() == 0 || snapshot.term > self.term {
            return Some("offers a snapshot from no term of the past");
        }
        (!is_possible(&snapshot.membership)).then_some("offers a snapshot with an impossible membership")
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

/// Whether a group can have this membership. The crate panics on others.
fn is_possible(membership: &Membership) -> bool {
    let Membership { voters, learners, voters_outgoing, learners_next, auto_leave } = membership;
    let names_each_once = [voters, learners, voters_outgoing, learners_next].into_iter().all(|members| {
        let distinct: BTreeSet<_> = members.iter().collect();
        distinct.len() == members.len() && !members.contains(&MemberId(0))
    });
    let is_voter = |member: &MemberId| voters.contains(member) || voters_outgoing.contains(member);
    let is_staged = |member: &MemberId| voters_outgoing.contains(member) && !voters.contains(member);
    names_each_once
        && !voters.is_empty()
        && !learners.iter().any(is_voter)
        && learners_next.iter().all(is_staged)
        && (!*auto_leave || !voters_outgoing.is_empty())
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
        let kind = message.check().unwrap();
        assert_eq!(Message::from_raft(message.clone().into_raft(kind)), message);
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
            Message { snapshot: Some(genesis(&[1, 2])), ..append(&[]) },
            Message { log_term: Term(0), ..append(&[]) },
            Message { log_term: Term(4), ..append(&[]) },
            Message { commit_term: Term(4), ..append(&[]) },
            Message { index: LogIndex(u64::MAX), ..append(&[(3, u64::MAX)]) },
            Message { request_snapshot: LogIndex(1), ..append(&[]) },
            Message { reject: true, reject_hint: LogIndex(8), ..append(&[]) },
            Message { context: vec![0; 33].into(), ..append(&[]) },
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
            assert!(matches!(message.check(), Err(Refused::Invalid(_))), "{message:?}");
        }
    }

    #[test]
    fn a_snapshot_is_offered_with_a_membership_that_can_be() {
        let ids = |ids: &[u64]| ids.iter().copied().map(MemberId).collect::<Vec<_>>();
        let offer = |membership| Message {
            kind: MessageType::MsgSnapshot as u32,
            snapshot: Some(SnapshotMetadata { membership, ..genesis(&[]) }),
            ..append(&[])
        };
        let plain = Membership { voters: ids(&[1, 2]), learners: ids(&[3]), ..Membership::default() };
        let joint = Membership {
            voters_outgoing: ids(&[2, 4]),
            learners_next: ids(&[4]),
            auto_leave: true,
            ..plain.clone()
        };
        for membership in [plain.clone(), joint.clone()] {
            assert_eq!(offer(membership).check(), Ok(MessageType::MsgSnapshot));
        }
        let impossible = [
            Membership { voters: ids(&[]), ..plain.clone() },
            Membership { voters: ids(&[1, 1]), ..plain.clone() },
            Membership { voters: ids(&[0]), ..plain.clone() },
            Membership { learners: ids(&[1]), ..plain.clone() },
            Membership { auto_leave: true, ..plain.clone() },
            Membership { learners_next: ids(&[2]), ..plain },
            Membership { learners: ids(&[4]), ..joint.clone() },
            Membership { learners_next: ids(&[2]), ..joint },
        ];
        for membership in impossible {
            let message = offer(membership);
            assert!(matches!(message.check(), Err(Refused::Invalid(_))), "{message:?}");
        }
    }

    fn genesis(voters: &[u64]) -> SnapshotMetadata {
        let membership = Membership::of_voters(voters.iter().copied().map(MemberId));
        SnapshotMetadata { index: LogIndex(1), term: Term(1), membership }
    }
}
