//! What a user says when the majority of a partition is lost for good.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::survivor_is_member_id;
use super::spec::PARTITIONS_MAX;

/// A partition that has lost its majority for good goes on with one member, and without whatever never reached that one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoverySpec {
    /// The number of the partition.
    #[schemars(range(max = PARTITIONS_MAX - 1))]
    pub partition: u32,

    /// The id of the member with which it goes on. The condition QuorumLost names the one that has the most, and how much
    /// that is. Once it has gone on under a new id this names nobody any more, so that it can be left in the spec, or taken
    /// out.
    #[schemars(length(max = 20))]
    #[x_kube(validation = survivor_is_member_id())]
    pub survivor: String,

    /// `AcknowledgedWritesMayBeLost`: writes that were acknowledged, and never reached the survivor, are lost. A lock or a
    /// leadership that was granted in them may be granted to somebody else, under a greater fence; the terms of an election
    /// may come again. Before you write this, make sure that the machines of the other members are off for good, or have
    /// lost their volumes.
    pub accept_data_loss: DataLoss,
}

/// What somebody who gives up a majority accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DataLoss {
    /// Writes that were acknowledged and never reached the survivor are lost.
    AcknowledgedWritesMayBeLost,
}
