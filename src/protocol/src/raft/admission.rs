//! Which messages reach the crate: the judgement that needs to know how this member stands.
//!
//! Whoever speaks names the receiver by its member id, which is drawn at random for each incarnation. Beyond that:
//!
//! - An answer, and the call to take over, is believed of members only: nobody else was asked.
//! - A leader or a candidate may be unknown: a member that lags behind has not applied the entry that added it, and
//!   needs just that one to catch up (raft thesis §4.1). It is listened to unless this member is bound to a leader, or
//!   leads under a lease: then nobody else can have been elected. So a stranger finds no ear while the group has a
//!   leader.
//! - Only a member can prove that this one has lost what it acknowledged: that stops it for good.
//! - Nobody is ahead by more terms than there could have been elections.
//!
//! None of this stands in for authentication. Who knows the ids and speaks as a member is believed.

use raft::eraftpb::MessageType;

use super::{Message, Raft};
use crate::Refused;

/// How many terms a message may be ahead: more than a group can hold elections. Keeps the arithmetic on terms far from
/// the end of the numbers.
const TERMS_AHEAD_MAX: u64 = 1 << 32;

impl Raft {
    /// Judges a message that is well-formed.
    pub(super) fn admit(&self, message: &Message, kind: MessageType) -> Result<(), Refused> {
        let refuse = |why: &str| {
            let from = message.from;
            Err(Refused::Invalid(format!("raft message {kind:?} of member {from} {why}")))
        };
        if message.term.get().saturating_sub(self.term().get()) > TERMS_AHEAD_MAX {
            return refuse("is from a term that cannot have come");
        }
        let is_member = self.node.raft.prs().get(message.from.get()).is_some();
        match kind {
            MessageType::MsgAppend
            | MessageType::MsgHeartbeat
            | MessageType::MsgSnapshot
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestPreVote
                if !is_member && self.is_bound_against(message) =>
            {
                return refuse("is dropped: it is unknown, and the group has a leader");
            }
            MessageType::MsgHeartbeat if self.is_beyond_the_log(message) => {
                // A term has one leader.
                let leads =
                    message.term > self.term() || self.leader().is_none_or(|leader| leader == message.from);
                if !is_member || !leads {
                    return refuse("counts on entries that are not here, and is no leader");
                }
                return Err(self.has_lost_entries(message));
            }
            MessageType::MsgAppendResponse
                if self.is_leader() && message.index.get() > self.node.raft.raft_log.last_index() =>
            {
                return refuse("acknowledges entries that were never sent");
            }
            MessageType::MsgTimeoutNow
            | MessageType::MsgAppendResponse
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVoteResponse
                if !is_member =>
            {
                return refuse("is dropped: it is not a member");
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether nobody but a known member can have been elected at this moment.
    fn is_bound_against(&self, message: &Message) -> bool {
        self.promise.bars(message.from, self.now).is_some()
            || (self.is_leader() && self.lease.is_valid(self.now))
    }

    /// A heartbeat counts on what this member has acknowledged, and on nothing else.
    fn is_beyond_the_log(&self, message: &Message) -> bool {
        message.term >= self.term() && message.commit.get() > self.node.raft.raft_log.last_index()
    }

    fn has_lost_entries(&self, message: &Message) -> Refused {
        let last = self.node.raft.raft_log.last_index();
        Refused::Broken(format!(
            "the leader counts on entries up to {}, but this member has lost those after {last}",
            message.commit
        ))
    }
}
