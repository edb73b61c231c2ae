//! Carrying out what was planned.

use std::time::Duration;

use futures::future::join_all;
use synod_proto::admin::v1::{
    AddLearnerRequest, DiscardRequest, PrepareRequest, PromoteRequest, RecoverRequest, RemoveRequest,
    StatusRequest, TransferLeadershipRequest,
};
use synod_types::{Error, ErrorCode, MemberId, PartitionId, Term};

use super::genesis::{Founder, Genesis};
use super::nodes::{Nodes, within};
use super::observation::{Replica, Role};
use super::plan::Action;
use super::quorum::was_taken_out;

/// How long a node has to do what it is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries out an action on a partition of a group ("namespace/name"). Done when the nodes say so; cancelled or failed,
/// it may still happen. Either way the next observation tells, and the next plan goes on from there.
///
/// # Errors
/// The first that a node answered.
pub async fn carry_out(
    action: &Action,
    group: &str,
    partition: PartitionId,
    nodes: &Nodes,
) -> Result<(), Error> {
    let target = Target { group: group.to_owned(), partition, nodes };
    match action {
        Action::Prepare { nodes } => all(nodes, |node| target.prepare(node)).await,
        Action::Bootstrap { nodes, genesis } => all(nodes, |node| target.bootstrap(node, genesis)).await,
        Action::Remove { leader, member } => target.remove(leader, *member).await,
        Action::AddLearner { leader, learner } => target.add_learner(leader, learner).await,
        Action::Promote { leader, member } => target.promote(leader, *member).await,
        Action::Discard { leader, node, member, term } => target.discard(leader, node, *member, *term).await,
        Action::Recover { node, member } => target.recover(node, *member).await,
        Action::TransferLeadership { leader, to } => target.transfer(leader, *to).await,
    }
}

/// Does the same on several nodes at once, also if some refuse.
async fn all<'a, F: Future<Output = Result<(), Error>>>(
    nodes: &'a [String],
    each: impl Fn(&'a str) -> F,
) -> Result<(), Error> {
    join_all(nodes.iter().map(|node| each(node))).await.into_iter().collect()
}

struct Target<'a> {
    group: String,
    partition: PartitionId,
    nodes: &'a Nodes,
}

impl Target<'_> {
    async fn prepare(&self, node: &str) -> Result<(), Error> {
        let request = PrepareRequest { group: self.group.clone(), partition: self.partition.get() };
        within(PATIENCE, self.nodes.client(node)?.prepare(request)).await.map(drop)
    }

    async fn bootstrap(&self, node: &str, genesis: &Genesis) -> Result<(), Error> {
        let request = genesis.request(&self.group, self.partition);
        match within(PATIENCE, self.nodes.client(node)?.bootstrap(request)).await {
            // Somebody who carried out the same plan was there before.
            Err(error) if error.code() == ErrorCode::AlreadyExists => Ok(()),
            done => done.map(drop),
        }
    }

    async fn remove(&self, leader: &str, member: MemberId) -> Result<(), Error> {
        let request = RemoveRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member_id: member.get(),
        };
        within(PATIENCE, self.nodes.client(leader)?.remove(request)).await.map(drop)
    }

    async fn add_learner(&self, leader: &str, learner: &Founder) -> Result<(), Error> {
        let request = AddLearnerRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member: Some(learner.to_wire()),
        };
        within(PATIENCE, self.nodes.client(leader)?.add_learner(request)).await.map(drop)
    }

    async fn promote(&self, leader: &str, member: MemberId) -> Result<(), Error> {
        let request = PromoteRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member_id: member.get(),
        };
        within(PATIENCE, self.nodes.client(leader)?.promote(request)).await.map(drop)
    }

    /// The leader is asked once more, now that the member is known to hold data: what was seen before was not seen at one
    /// moment, and nothing may be deleted of a member that came in meanwhile.
    async fn discard(&self, leader: &str, node: &str, member: MemberId, term: Term) -> Result<(), Error> {
        let status = within(PATIENCE, self.nodes.client(leader)?.status(StatusRequest {})).await?;
        let leads = match Replica::of_status(&status, &self.group, self.partition) {
            Replica::Running(running) if running.role == Role::Leader => Some(running),
            _ => None,
        };
        if !leads.is_some_and(|leads| was_taken_out(&leads, member, term)) {
            let message = format!("{leader} does not confirm that member {member} was taken out");
            return Err(Error::new(ErrorCode::Conflict, message));
        }
        let request = DiscardRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member_id: member.get(),
        };
        within(PATIENCE, self.nodes.client(node)?.discard(request)).await.map(drop)
    }

    /// Every node is asked once more: nobody goes on alone while somebody leads, or has just led.
    async fn recover(&self, node: &str, member: MemberId) -> Result<(), Error> {
        for other in self.nodes.names() {
            let asked = within(PATIENCE, self.nodes.client(other)?.status(StatusRequest {})).await;
            let Ok(status) = asked else { continue };
            if let Replica::Running(running) = Replica::of_status(&status, &self.group, self.partition)
                && let Some(leader) = running.leader
            {
                let message = format!("{other} knows a leader, member {leader}: nothing is lost");
                return Err(Error::new(ErrorCode::Conflict, message));
            }
        }
        let request = RecoverRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member_id: member.get(),
        };
        within(PATIENCE, self.nodes.client(node)?.recover(request)).await.map(drop)
    }

    async fn transfer(&self, leader: &str, to: MemberId) -> Result<(), Error> {
        let request = TransferLeadershipRequest {
            group: self.group.clone(),
            partition: self.partition.get(),
            member_id: to.get(),
        };
        within(PATIENCE, self.nodes.client(leader)?.transfer_leadership(request)).await.map(drop)
    }
}
