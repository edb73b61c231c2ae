//! Between the protocol's messages and those of the wire.
//!
//! What comes from the network is checked for form here and for sense by the protocol; nothing in it can make a
//! replica panic.

use synod_proto::log::v1 as log;
use synod_proto::peer::v1 as peer;
use synod_protocol::raft;
use synod_protocol::{Entry, EntryKind, Membership, Message, SnapshotMetadata};
use synod_types::{Error, ErrorCode, LogIndex, MemberId, Term};

/// The wire form of a message, without the addressing of group and partition.
pub fn message_to_wire(message: Message) -> peer::Message {
    let Message::Raft(raft) = message;
    peer::Message {
        group: 0,
        partition: 0,
        from: raft.from.get(),
        to: raft.to.get(),
        body: Some(peer::message::Body::Raft(peer::Raft {
            kind: raft.kind,
            term: raft.term.get(),
            log_term: raft.log_term.get(),
            index: raft.index.get(),
            entries: raft.entries.into_iter().map(entry_to_wire).collect(),
            commit: raft.commit.get(),
            commit_term: raft.commit_term.get(),
            snapshot: raft.snapshot.as_ref().map(metadata_to_wire),
            request_snapshot: raft.request_snapshot.get(),
            reject: raft.reject,
            reject_hint: raft.reject_hint.get(),
            context: raft.context,
            priority: raft.priority,
        })),
    }
}

/// A message from the wire.
///
/// # Errors
/// [`ErrorCode::Invalid`] for a message that a newer version, or nobody, could have sent.
pub fn message_from_wire(message: peer::Message) -> Result<Message, Error> {
    let Some(peer::message::Body::Raft(raft)) = message.body else {
        return Err(Error::new(ErrorCode::Invalid, "the message has no body that this version knows"));
    };
    let entries = raft.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?;
    Ok(Message::Raft(raft::Message {
        kind: raft.kind,
        from: MemberId(message.from),
        to: MemberId(message.to),
        term: Term(raft.term),
        log_term: Term(raft.log_term),
        index: LogIndex(raft.index),
        entries,
        commit: LogIndex(raft.commit),
        commit_term: Term(raft.commit_term),
        snapshot: raft.snapshot.as_ref().map(metadata_from_wire),
        request_snapshot: LogIndex(raft.request_snapshot),
        reject: raft.reject,
        reject_hint: LogIndex(raft.reject_hint),
        context: raft.context,
        priority: raft.priority,
    }))
}

fn entry_to_wire(entry: Entry) -> peer::Entry {
    peer::Entry {
        term: entry.term.get(),
        index: entry.index.get(),
        kind: entry.kind as u32,
        data: entry.data,
    }
}

fn entry_from_wire(entry: peer::Entry) -> Result<Entry, Error> {
    let kind = EntryKind::from_number(entry.kind).ok_or_else(|| {
        Error::new(ErrorCode::Invalid, format!("unknown kind {} of log entry {}", entry.kind, entry.index))
    })?;
    Ok(Entry { term: Term(entry.term), index: LogIndex(entry.index), kind, data: entry.data })
}

/// The wire form of where a snapshot stands.
pub fn metadata_to_wire(metadata: &SnapshotMetadata) -> peer::SnapshotMetadata {
    peer::SnapshotMetadata {
        index: metadata.index.get(),
        term: metadata.term.get(),
        membership: Some(membership_to_wire(&metadata.membership)),
    }
}

/// Where a snapshot stands, from the wire.
pub fn metadata_from_wire(metadata: &peer::SnapshotMetadata) -> SnapshotMetadata {
    SnapshotMetadata {
        index: LogIndex(metadata.index),
        term: Term(metadata.term),
        membership: metadata.membership.as_ref().map(membership_from_wire).unwrap_or_default(),
    }
}

pub(crate) fn membership_to_wire(membership: &Membership) -> log::Membership {
    let ids = |members: &[MemberId]| members.iter().map(|member| member.get()).collect();
    log::Membership {
        voters: ids(&membership.voters),
        learners: ids(&membership.learners),
        voters_outgoing: ids(&membership.voters_outgoing),
        learners_next: ids(&membership.learners_next),
        auto_leave: membership.auto_leave,
    }
}

pub(crate) fn membership_from_wire(membership: &log::Membership) -> Membership {
    let ids = |members: &[u64]| members.iter().copied().map(MemberId).collect();
    Membership {
        voters: ids(&membership.voters),
        learners: ids(&membership.learners),
        voters_outgoing: ids(&membership.voters_outgoing),
        learners_next: ids(&membership.learners_next),
        auto_leave: membership.auto_leave,
    }
}
