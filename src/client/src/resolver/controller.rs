//! Groups as the controller knows them: `synod dev`, or the operator.

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use synod_proto::controller::v1 as wire;
use synod_types::{ErrorCode, PartitionId, Slot, SlotTable, Term};

use super::{PartitionTopology, Resolver, Topology};
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::trust::Trust;

/// Asks the controller, and follows what it says.
#[derive(Clone, Debug)]
pub(crate) struct ControllerResolver {
    controller: Controller,
}

impl ControllerResolver {
    pub(crate) const fn new(controller: Controller) -> Self {
        Self { controller }
    }
}

impl Resolver for ControllerResolver {
    fn watch(&self, namespace: &str, name: Option<&str>) -> BoxStream<'static, Result<Topology>> {
        let controller = self.controller.clone();
        let (namespace, name) = (namespace.to_owned(), name.unwrap_or_default().to_owned());
        stream::once(async move {
            // Asked by name first, because only this tells a group that is not there from one that says nothing.
            let group = controller.group(&namespace, &name).await?;
            let changes = controller.watch_groups(&group.namespace, &group.name).await?;
            let deleted = group.name.clone();
            let changes = changes.map(move |change| {
                let change = change?;
                if change.deleted {
                    return Err(Error::new(ErrorCode::NotFound, format!("group \"{deleted}\" was deleted")));
                }
                topology(change.group.unwrap_or_default())
            });
            Ok::<_, Error>(stream::once(async move { topology(group) }).chain(changes).chain(ended()))
        })
        .try_flatten()
        .boxed()
    }
}

/// A watch that ends without an error is as broken as one that ends with one.
fn ended() -> impl futures::Stream<Item = Result<Topology>> {
    stream::once(async { Err(Error::new(ErrorCode::Unavailable, "the controller ended the watch")) })
}

/// What the controller says, checked.
fn topology(group: wire::Group) -> Result<Topology> {
    let partitions = u32::try_from(group.partitions.len()).unwrap_or(u32::MAX);
    let mut moved = Vec::with_capacity(group.moved_slots.len());
    for wire::MovedSlot { slot, partition } in group.moved_slots {
        let slot = u16::try_from(slot).map_err(|_| contradicts(&group.name))?;
        moved.push((Slot(slot), PartitionId(partition)));
    }
    let slots = SlotTable::with_moves(partitions, group.slots, moved)
        .map_err(|error| Error::from(error).within(format!("group \"{}\"", group.name)))?;
    let in_order = (0..).zip(&group.partitions).all(|(id, partition)| partition.id == id);
    if !in_order {
        return Err(contradicts(&group.name));
    }
    let partitions = group.partitions.into_iter().map(partition).collect();
    let trust =
        Trust::said(&group.ca_pem).map_err(|error| error.within(format!("group \"{}\"", group.name)))?;
    Ok(Topology { namespace: group.namespace, name: group.name, slots, partitions, trust })
}

fn partition(partition: wire::Partition) -> PartitionTopology {
    let is_leader = |member: &&wire::Member| member.id == partition.leader && partition.leader != 0;
    let leader = partition.members.iter().find(is_leader).map(|member| member.endpoint.clone());
    let endpoints = partition.members.into_iter().map(|member| member.endpoint);
    PartitionTopology {
        endpoints: endpoints.filter(|endpoint| !endpoint.is_empty()).collect(),
        leader: leader.filter(|leader| !leader.is_empty()),
        term: Term(partition.term),
    }
}

fn contradicts(group: &str) -> Error {
    let message = format!("the controller's description of group \"{group}\" contradicts itself");
    Error::new(ErrorCode::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> wire::Group {
        let member =
            |id: u64, endpoint: &str| wire::Member { id, endpoint: endpoint.into(), ..Default::default() };
        let partition = |id| wire::Partition {
            id,
            leader: 2,
            term: 5,
            members: vec![member(1, "a:1"), member(2, "b:1"), member(3, "")],
        };
        wire::Group {
            namespace: "default".into(),
            name: "sample".into(),
            slots: 32_766,
            partitions: (0..3).map(partition).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_description_becomes_a_topology() {
        let topology = topology(group()).unwrap();
        assert_eq!(topology.full_name(), "default/sample");
        assert_eq!(topology.slots, SlotTable::new(3).unwrap());
        let expected = PartitionTopology {
            endpoints: vec!["a:1".into(), "b:1".into()],
            leader: Some("b:1".into()),
            term: Term(5),
        };
        assert_eq!(topology.partitions, vec![expected; 3]);
    }

    #[test]
    fn a_description_that_contradicts_itself_is_refused() {
        let mut swapped = group();
        swapped.partitions.swap(0, 1);
        let far = wire::MovedSlot { slot: 70_000, partition: 0 };
        let wrong = [
            wire::Group { slots: 7, ..group() },
            wire::Group { partitions: Vec::new(), ..group() },
            wire::Group { moved_slots: vec![far], ..group() },
            wire::Group { ca_pem: "no certificate".into(), ..group() },
            swapped,
        ];
        for group in wrong {
            assert!(topology(group.clone()).is_err(), "{group:?}");
        }
    }

    #[test]
    fn a_partition_without_a_leader_has_none() {
        let mut group = group();
        group.partitions[0].leader = 0;
        assert_eq!(topology(group).unwrap().partitions[0].leader, None);
    }
}
