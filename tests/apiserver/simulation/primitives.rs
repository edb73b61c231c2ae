//! The primitives that members were asked to create, without what they would hold.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;
use prost::bytes::Bytes;
use synod_proto::primitive::v1::{
    Command, CreateResponse, DeleteResponse, DescribeResponse, Description, Query, command, query,
};

use super::membership::Partition;

#[derive(Default)]
pub(super) struct Primitives {
    /// By their ids.
    existing: HashMap<Partition, BTreeMap<u64, Description>>,
    /// How often the creation of each ("namespace/group name") was asked for.
    pub(super) asked_for: BTreeMap<String, u64>,
}

impl Primitives {
    /// Whether a partition has any.
    pub(super) fn exist(&self, partition: &Partition) -> bool {
        self.existing.get(partition).is_some_and(|existing| !existing.is_empty())
    }

    /// The answer to a write, if it is one that an operator asks for.
    pub(super) fn write(&mut self, partition: &Partition, command: Command) -> Option<Bytes> {
        let existing = self.existing.entry(partition.clone()).or_default();
        let answer = match command.operation? {
            command::Operation::Create(create) => {
                *self.asked_for.entry(format!("{} {}", partition.0, create.name)).or_default() += 1;
                let description = Description {
                    application: create.application,
                    kind: create.kind,
                    name: create.name,
                    primitive: command.primitive,
                    ..Description::default()
                };
                let created = existing.insert(command.primitive, description).is_none();
                CreateResponse { created }.encode_to_vec()
            }
            command::Operation::Delete(_) => {
                DeleteResponse { deleted: existing.remove(&command.primitive).is_some() }.encode_to_vec()
            }
            _ => return None,
        };
        Some(answer.into())
    }

    /// The answer to a read, alike.
    pub(super) fn read(&self, partition: &Partition, query: &Query) -> Option<Bytes> {
        let Some(query::Operation::Describe(describe)) = &query.operation else { return None };
        let is_of =
            |it: &&Description| describe.application.is_empty() || describe.application == it.application;
        let existing = self.existing.get(partition).into_iter().flat_map(BTreeMap::values);
        let primitives = existing.filter(is_of).cloned().collect();
        Some(DescribeResponse { primitives }.encode_to_vec().into())
    }
}
