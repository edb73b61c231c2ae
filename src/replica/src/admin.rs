//! What operators ask: changes of the membership, transfers of leadership, snapshots. Each is answered when it is
//! done, not when it is begun.

use prost::Message as _;
use synod_protocol::{Change, Refused, Role, Status};
use synod_types::{Error, ErrorCode, LogIndex, MemberId, Monotonic};

use crate::Effect;
use crate::event::Admin;
use crate::replica::Replica;

/// A learner this close to the commit index counts as caught up.
const CAUGHT_UP_ENTRIES: u64 = 1_000;

/// What operators wait for.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// The change under way: the request, the member it is about, and the entry that carries it.
    change: Option<(u64, MemberId, LogIndex)>,
    transfer: Option<Transfer>,
    snapshots: Vec<u64>,
}

#[derive(Debug)]
struct Transfer {
    request: u64,
    /// Nobody in particular, if the operator named nobody.
    to: Option<MemberId>,
    give_up_at: Monotonic,
}

impl Replica {
    pub(crate) fn admin(&mut self, request: u64, admin: Admin) {
        let begun = match admin {
            Admin::AddLearner(member) => {
                let id = MemberId(member.id);
                let about = member.encode_to_vec().into();
                self.change_membership(request, id, &Change::AddLearner { member: id, about })
            }
            Admin::Promote(member) => self
                .check_caught_up(member)
                .and_then(|()| self.change_membership(request, member, &Change::Promote(member))),
            Admin::Remove(member) => self.change_membership(request, member, &Change::Remove(member)),
            Admin::Transfer(to) => self.transfer(request, to),
            Admin::Snapshot => {
                self.requests.snapshots.push(request);
                self.snapshots.want_now();
                Ok(())
            }
        };
        if let Err(error) = begun {
            self.effects.push(Effect::AdminReply(request, Err(error)));
        }
    }

    fn change_membership(&mut self, request: u64, member: MemberId, change: &Change) -> Result<(), Error> {
        if self.requests.change.is_some() {
            let message = "another membership change is under way: try again when it is done";
            return Err(Error::new(ErrorCode::Unavailable, message));
        }
        let index = self.protocol.change(change).map_err(|refused| self.refusal(refused))?;
        self.requests.change = Some((request, member, index));
        Ok(())
    }

    /// What to tell an operator whom the protocol refused.
    fn refusal(&self, refused: Refused) -> Error {
        match refused {
            Refused::NotLeader => self.not_leader(),
            Refused::Busy => Error::new(ErrorCode::Unavailable, "too much is under way: try again"),
            Refused::Invalid(why) | Refused::Broken(why) => Error::new(ErrorCode::Conflict, why),
        }
    }

    fn check_caught_up(&self, member: MemberId) -> Result<(), Error> {
        let status = self.protocol.status();
        let Some(progress) = status.progress.iter().find(|progress| progress.member == member) else {
            return Ok(());
        };
        if progress.matched == LogIndex(0) {
            let message =
                format!("member {member} has nothing yet: wait until it has got its first snapshot");
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        let behind = status.commit.get().saturating_sub(progress.matched.get());
        if progress.active && behind <= CAUGHT_UP_ENTRIES {
            return Ok(());
        }
        let message = if progress.active {
            format!("member {member} is {behind} entries behind: wait until it has caught up")
        } else {
            format!("member {member} does not answer")
        };
        Err(Error::new(ErrorCode::Conflict, message))
    }

    fn transfer(&mut self, request: u64, to: Option<MemberId>) -> Result<(), Error> {
        if self.requests.transfer.is_some() {
            return Err(Error::new(ErrorCode::Unavailable, "another transfer is under way: try again"));
        }
        let status = self.protocol.status();
        if status.standing.role != Role::Leader {
            return Err(self.not_leader());
        }
        if to == Some(self.member) {
            self.effects.push(Effect::AdminReply(request, Ok(self.member.get())));
            return Ok(());
        }
        let heir = to.or_else(|| heir(&status, self.member)).ok_or_else(|| {
            Error::new(ErrorCode::Conflict, "there is no other voter that answers to hand leadership to")
        })?;
        self.protocol.transfer(heir).map_err(|refused| self.refusal(refused))?;
        let give_up_at = self.now + self.options.transfer_timeout;
        self.requests.transfer = Some(Transfer { request, to, give_up_at });
        Ok(())
    }

    /// Answers what is done, and what has become impossible.
    pub(crate) fn settle_requests(&mut self) {
        self.settle_change();
        self.settle_transfer();
    }

    fn settle_change(&mut self) {
        let Some((request, member, index)) = self.requests.change else { return };
        let membership = self.machine.members().membership();
        let applied = self.machine.applied().log_index >= index;
        let answer = if applied && membership.voters_outgoing.is_empty() {
            Ok(member.get())
        } else if self.protocol.standing().role == Role::Leader {
            return;
        } else {
            let message = "leadership was lost before the change was done: look at the members";
            Err(Error::ambiguous(ErrorCode::Unavailable, message))
        };
        self.requests.change = None;
        self.effects.push(Effect::AdminReply(request, answer));
    }

    fn settle_transfer(&mut self) {
        let Some(transfer) = &self.requests.transfer else { return };
        let leader = self.protocol.standing().leader.filter(|leader| *leader != self.member);
        let answer = match leader {
            Some(leader) if transfer.to.is_none_or(|to| to == leader) => Ok(leader.get()),
            Some(leader) => {
                Err(Error::new(ErrorCode::Conflict, format!("member {leader} took over instead")))
            }
            None if self.now < transfer.give_up_at => return,
            None => Err(Error::ambiguous(ErrorCode::Timeout, "the other member did not take over in time")),
        };
        let request = transfer.request;
        self.requests.transfer = None;
        self.effects.push(Effect::AdminReply(request, answer));
    }

    /// A snapshot is done, or has failed: answers those who asked for one.
    pub(crate) fn answer_snapshot_requests(&mut self, outcome: &Result<LogIndex, Error>) {
        for request in std::mem::take(&mut self.requests.snapshots) {
            let answer = outcome.clone().map(LogIndex::get);
            self.effects.push(Effect::AdminReply(request, answer));
        }
    }

    /// When a request that waits must be looked at again.
    pub(crate) fn requests_deadline(&self) -> Option<Monotonic> {
        self.requests.transfer.as_ref().map(|transfer| transfer.give_up_at)
    }
}

/// The voter that has caught up furthest.
pub(crate) fn heir(status: &Status, own: MemberId) -> Option<MemberId> {
    let voters = &status.membership.voters;
    let candidates = status
        .progress
        .iter()
        .filter(|progress| progress.member != own && progress.active && voters.contains(&progress.member));
    candidates.max_by_key(|progress| progress.matched).map(|progress| progress.member)
}
