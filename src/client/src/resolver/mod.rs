//! How a client learns where a group is.
//!
//! A [`Resolver`] gives the [`Topology`] of a group and follows its changes. There is one that asks the controller, and
//! one that is told. What it says about leaders is only where to look first: replicas themselves say who leads.

mod controller;
mod fixed;
mod trusting;

pub(crate) use controller::ControllerResolver;
pub use fixed::FixedResolver;
pub(crate) use trusting::TrustingResolver;

use std::fmt;

use futures::stream::BoxStream;
use synod_types::{PartitionId, SlotTable, Term};

use crate::error::Result;
use crate::trust::Trust;

/// Finds groups, and tells how they change.
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// The group as it is, then after every change, for as long as the stream is polled. Without a name: the one group
    /// of the namespace.
    ///
    /// An error ends the stream. One that is retryable is answered by watching again, by the caller.
    fn watch(&self, namespace: &str, name: Option<&str>) -> BoxStream<'static, Result<Topology>>;
}

/// What a group looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The namespace of the group.
    pub namespace: String,
    /// The name of the group.
    pub name: String,
    /// Which partition holds which keys.
    pub slots: SlotTable,
    /// The partitions in the order of their ids, as many as the slot table has.
    pub partitions: Vec<PartitionTopology>,
    /// Who is believed to be a replica.
    pub trust: Trust,
}

/// Where the replicas of a partition are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionTopology {
    /// The host:port, for clients, of every replica.
    pub endpoints: Vec<String>,
    /// The one of the replica that leads, if that is known.
    pub leader: Option<String>,
    /// The term in which it leads.
    pub term: Term,
}

impl Topology {
    /// `namespace/name`, as nodes know the group.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Where the replicas of a partition are.
    pub(crate) fn partition(&self, id: PartitionId) -> PartitionTopology {
        let index = usize::try_from(id.get()).unwrap_or(usize::MAX);
        self.partitions.get(index).cloned().unwrap_or_default()
    }
}
