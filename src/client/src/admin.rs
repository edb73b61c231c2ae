//! What operators ask of a node: how its replicas stand, and changes of the membership.
//!
//! The calls concern the replicas on that one node. Those that change a membership must reach the leader; another node
//! answers `NOT_LEADER`.

use synod_proto::admin::v1 as wire;
use synod_proto::admin::v1::admin_client::AdminClient;
use synod_types::{LogIndex, MemberId, PartitionId};
use tonic::transport::Channel;

use crate::connections;
use crate::error::{Error, Result};
use crate::trust::Trust;

pub use synod_proto::admin::v1::{
    BootstrapRequest as Birth, MemberStatus, Phase, Replica, Role, StatusResponse as NodeStatus,
};
pub use synod_proto::types::v1::{Limits, Member, MemberRole};

/// Speaks with one node.
#[derive(Clone, Debug)]
pub struct Admin {
    client: AdminClient<Channel>,
}

/// A replica on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaName<'a> {
    /// `namespace/name` of the group.
    pub group: &'a str,
    /// Which partition of it.
    pub partition: PartitionId,
}

/// Who a prepared replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its id.
    pub member: MemberId,
    /// It has been bootstrapped, or has received data, already.
    pub holds_data: bool,
}

impl Admin {
    /// The node at host:port, which speaks plain text. Connects when it is first asked, on the runtime of the caller.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`](synod_types::ErrorCode::Invalid) when that is no address.
    pub fn new(address: &str) -> Result<Self> {
        Self::trusting(&Trust::plain_text(), address)
    }

    /// The node at host:port, if it is to be trusted.
    ///
    /// # Errors
    /// As [`Admin::new`].
    pub fn trusting(trust: &Trust, address: &str) -> Result<Self> {
        Ok(Self { client: AdminClient::new(connections::channel_to_replica(address, trust)?) })
    }

    /// How every replica on the node stands.
    ///
    /// # Errors
    /// Whatever the node says, or that it cannot be reached.
    pub async fn status(&self) -> Result<NodeStatus> {
        let status = self.client.clone().status(wire::StatusRequest {}).await.map_err(failed)?;
        Ok(status.into_inner())
    }

    /// Gives the replica an id if it has none. It then waits to be bootstrapped or to join. Idempotent.
    ///
    /// # Errors
    /// As [`Admin::status`].
    pub async fn prepare(&self, replica: ReplicaName<'_>) -> Result<Prepared> {
        let ReplicaName { group, partition } = replica;
        let request = wire::PrepareRequest { group: group.to_owned(), partition: partition.get() };
        let prepared = self.client.clone().prepare(request).await.map_err(failed)?.into_inner();
        Ok(Prepared { member: MemberId(prepared.member_id), holds_data: prepared.holds_data })
    }

    /// Begins the life of a partition. Every initial member must be told the same, once, and never while a member that
    /// holds data can be reached.
    ///
    /// # Errors
    /// As [`Admin::status`]; [`ErrorCode::AlreadyExists`](synod_types::ErrorCode::AlreadyExists) from a replica that
    /// holds data.
    pub async fn bootstrap(&self, birth: Birth) -> Result<()> {
        self.client.clone().bootstrap(birth).await.map_err(failed)?;
        Ok(())
    }

    /// Adds a prepared replica as a learner, which receives the log and does not count.
    ///
    /// # Errors
    /// As [`Admin::status`].
    pub async fn add_learner(&self, replica: ReplicaName<'_>, member: Member) -> Result<()> {
        let ReplicaName { group, partition } = replica;
        let (group, partition) = (group.to_owned(), partition.get());
        let request = wire::AddLearnerRequest { group, partition, member: Some(member) };
        self.client.clone().add_learner(request).await.map_err(failed)?;
        Ok(())
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// As [`Admin::status`]; [`ErrorCode::Conflict`](synod_types::ErrorCode::Conflict) while it has not caught up.
    pub async fn promote(&self, replica: ReplicaName<'_>, member: MemberId) -> Result<()> {
        let ReplicaName { group, partition } = replica;
        let (group, partition) = (group.to_owned(), partition.get());
        let request = wire::PromoteRequest { group, partition, member_id: member.get() };
        self.client.clone().promote(request).await.map_err(failed)?;
        Ok(())
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// As [`Admin::status`].
    pub async fn remove(&self, replica: ReplicaName<'_>, member: MemberId) -> Result<()> {
        let ReplicaName { group, partition } = replica;
        let (group, partition) = (group.to_owned(), partition.get());
        let request = wire::RemoveRequest { group, partition, member_id: member.get() };
        self.client.clone().remove(request).await.map_err(failed)?;
        Ok(())
    }

    /// Hands leadership to a voter, or without one to whoever has caught up furthest. Returns who leads then.
    ///
    /// # Errors
    /// As [`Admin::status`].
    pub async fn transfer_leadership(
        &self,
        replica: ReplicaName<'_>,
        to: Option<MemberId>,
    ) -> Result<MemberId> {
        let ReplicaName { group, partition } = replica;
        let (group, partition) = (group.to_owned(), partition.get());
        let member_id = to.map_or(0, MemberId::get);
        let request = wire::TransferLeadershipRequest { group, partition, member_id };
        let done = self.client.clone().transfer_leadership(request).await.map_err(failed)?.into_inner();
        Ok(MemberId(done.member_id))
    }

    /// Takes a snapshot of the state now. Returns where it stands in the log, once it is durable.
    ///
    /// # Errors
    /// As [`Admin::status`].
    pub async fn snapshot(&self, replica: ReplicaName<'_>) -> Result<LogIndex> {
        let ReplicaName { group, partition } = replica;
        let request = wire::SnapshotRequest { group: group.to_owned(), partition: partition.get() };
        let done = self.client.clone().snapshot(request).await.map_err(failed)?.into_inner();
        Ok(LogIndex(done.log_index))
    }
}

fn failed(status: tonic::Status) -> Error {
    Error::from_status(&status)
}
