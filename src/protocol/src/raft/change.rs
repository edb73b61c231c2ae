//! Membership changes as bytes.
//!
//! PERSISTED, as the payload of membership entries. The fields have the numbers of raft's `ConfChangeV2`, because
//! the crate reads a change that its own leader proposes. What came from the network is only ever decoded here.

use bytes::Bytes;
use prost::Message as _;
use raft::StateRole;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};
use synod_types::LogIndex;

use super::Raft;
use crate::{Change, Entry, EntryKind, Refused};

#[derive(Clone, PartialEq, prost::Message)]
struct WireChange {
    #[prost(int32, tag = "1")]
    transition: i32,
    #[prost(message, repeated, tag = "2")]
    steps: Vec<WireStep>,
    #[prost(bytes = "bytes", tag = "3")]
    about: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireStep {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint64, tag = "2")]
    member: u64,
}

/// A change goes through joint consensus, which the leader leaves by itself.
const IMPLICIT: i32 = ConfChangeTransition::Implicit as i32;

pub(super) fn encode(change: &Change) -> Bytes {
    let (kind, member, about) = match change {
        Change::AddLearner { member, about } => (ConfChangeType::AddLearnerNode, member, about.clone()),
        Change::Promote(member) => (ConfChangeType::AddNode, member, Bytes::new()),
        Change::Remove(member) => (ConfChangeType::RemoveNode, member, Bytes::new()),
    };
    let step = WireStep { kind: kind as i32, member: member.get() };
    WireChange { transition: IMPLICIT, steps: vec![step], about }.encode_to_vec().into()
}

/// Reads a change; an empty one ends joint consensus.
pub(super) fn decode(data: &Bytes) -> Result<(ConfChangeV2, Bytes), Refused> {
    let broken = |what: &str| Refused::Broken(format!("a membership entry cannot be read: {what}"));
    let change = WireChange::decode(data.clone()).map_err(|error| broken(&error.to_string()))?;
    let mut raft_change = ConfChangeV2::default();
    raft_change.set_transition(match change.transition {
        IMPLICIT => ConfChangeTransition::Implicit,
        0 => ConfChangeTransition::Auto,
        _ => return Err(broken("unknown transition")),
    });
    let mut steps = Vec::with_capacity(change.steps.len());
    for step in change.steps {
        let kinds = [ConfChangeType::AddNode, ConfChangeType::RemoveNode, ConfChangeType::AddLearnerNode];
        let kind = kinds.into_iter().find(|kind| *kind as i32 == step.kind);
        let mut raft_step = ConfChangeSingle::default();
        raft_step.set_change_type(kind.ok_or_else(|| broken("unknown kind of change"))?);
        raft_step.node_id = step.member;
        steps.push(raft_step);
    }
    raft_change.set_changes(steps.into());
    Ok((raft_change, change.about))
}

/// How far a log is committed for certain, whatever its member remembers: a leader appends a membership entry only after
/// it has applied the one before. So no member ever counts majorities by a membership that is further back than one step,
/// and any two majorities that decide meet.
pub(super) fn proven_commit(entries: &[Entry]) -> LogIndex {
    let mut changes = entries.iter().rev().filter(|entry| entry.kind == EntryKind::Membership);
    changes.nth(1).map_or(LogIndex(0), |entry| entry.index)
}

impl Raft {
    /// A leader is never asked to remove itself, but may have been elected while its removal was under way. The crate
    /// lets it lead on, and drops all its proposals; and it panics when somebody who was removed while it campaigned wins.
    pub(super) fn step_down_if_removed(&mut self) {
        let is_follower = self.node.raft.state == StateRole::Follower;
        if !is_follower && !self.membership().all().contains(&self.id()) {
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, 0);
        }
    }

    /// Whether a change makes sense now.
    pub(super) fn check_change(&self, change: &Change) -> Result<(), Refused> {
        let membership = self.membership();
        let problem = match change {
            Change::AddLearner { member, .. } if membership.all().contains(member) => "is a member already",
            Change::AddLearner { .. } => return Ok(()),
            Change::Promote(member) if !membership.learners.contains(member) => "is not a learner",
            Change::Promote(_) => return Ok(()),
            Change::Remove(member) if !membership.all().contains(member) => "is not a member",
            Change::Remove(member) if membership.voters == [*member] => "is the last voter",
            Change::Remove(member) if *member == self.id() => "leads: transfer leadership first",
            Change::Remove(_) => return Ok(()),
        };
        let (Change::AddLearner { member, .. } | Change::Promote(member) | Change::Remove(member)) = change;
        Err(Refused::Invalid(format!("member {member} {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use synod_types::MemberId;

    use super::*;

    /// The bytes are persisted, and the crate's own decoder must agree on them.
    #[test]
    fn the_layout_is_pinned() {
        let change = Change::AddLearner { member: MemberId(300), about: Bytes::from_static(b"ab") };
        assert_eq!(encode(&change)[..], *b"\x08\x01\x12\x05\x08\x02\x10\xac\x02\x1a\x02ab");
        let (decoded, about) = decode(&encode(&change)).unwrap();
        assert_eq!(decoded.changes[0].node_id, 300);
        assert_eq!(decoded.changes[0].change_type, ConfChangeType::AddLearnerNode);
        assert_eq!(about, "ab");
    }

    #[test]
    fn what_cannot_be_read_is_broken() {
        for bytes in [&b"\xff"[..], b"\x08\x09", b"\x12\x02\x08\x09"] {
            assert!(matches!(decode(&Bytes::copy_from_slice(bytes)), Err(Refused::Broken(_))));
        }
    }
}
