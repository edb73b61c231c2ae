//! How a partition begins: decided once, remembered for ever, and told to each of its first members.

use serde::{Deserialize, Serialize};
use synod_api::LimitsSpec;
use synod_proto::admin::v1::BootstrapRequest;
use synod_proto::types::v1 as wire;
use synod_types::{Error, Limits, MemberId, PartitionId, slot_count};

/// How a partition begins.
///
/// Whoever decides on one remembers it durably before any member is told, and never decides on another for the same
/// partition. It is then safe to tell it to a member of the list that waits, at any time and any number of times:
/// that member has never had data, so that it becomes what it would have been had it been told at once and then been
/// switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// The first members.
    pub founders: Vec<Founder>,
    /// How many partitions the group has.
    pub partitions: u32,
    /// How many slots the keys are hashed to.
    pub slots: u32,
    /// The limits of the partition, each one given: the defaults of a later version may be others.
    pub limits: LimitsSpec,
    /// When it was decided, in milliseconds since 1970: the first reading of the partition's clock.
    pub born_ms: u64,
}

/// One of the first members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Founder {
    /// The id that its replica was given.
    #[serde(with = "number")]
    pub id: MemberId,
    /// The node that hosts it.
    pub node: String,
    /// The host:port for other replicas.
    pub peer_address: String,
    /// The host:port for clients and administrators.
    pub client_address: String,
}

impl Genesis {
    /// The beginning of a partition of a new group of `partitions`.
    ///
    /// # Errors
    /// When there cannot be so many partitions.
    pub fn new(
        founders: Vec<Founder>,
        partitions: u32,
        limits: &Limits,
        born_ms: u64,
    ) -> Result<Self, Error> {
        Ok(Self { founders, partitions, slots: slot_count(partitions)?, limits: in_full(limits), born_ms })
    }

    /// Whether a member is one of the first.
    pub fn is_founder(&self, member: MemberId) -> bool {
        self.founders.iter().any(|founder| founder.id == member)
    }

    pub(super) fn request(&self, group: &str, partition: PartitionId) -> BootstrapRequest {
        let limits: Limits = self.limits.clone().resolve();
        BootstrapRequest {
            group: group.to_owned(),
            partition: partition.get(),
            members: self.founders.iter().map(Founder::to_wire).collect(),
            partitions: self.partitions,
            slots: self.slots,
            limits: Some(wire::Limits::from(&limits)),
            born_ms: self.born_ms,
        }
    }
}

impl Founder {
    pub(super) fn to_wire(&self) -> wire::Member {
        wire::Member {
            id: self.id.get(),
            node: self.node.clone(),
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
            role: wire::MemberRole::Unspecified as i32,
        }
    }
}

fn in_full(limits: &Limits) -> LimitsSpec {
    let Limits {
        request_bytes,
        key_bytes,
        value_bytes,
        transaction_operations,
        sessions,
        session_results,
        waiters,
        history_changes,
        history_bytes,
    } = *limits;
    LimitsSpec {
        request_bytes: Some(request_bytes),
        key_bytes: Some(key_bytes),
        value_bytes: Some(value_bytes),
        transaction_operations: Some(transaction_operations),
        sessions: Some(sessions),
        session_results: Some(session_results),
        waiters: Some(waiters),
        history_changes: Some(history_changes),
        history_bytes: Some(history_bytes),
    }
}

/// Member ids as numbers.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};
    use synod_types::MemberId;

    pub(super) fn serialize<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(id.get())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        u64::deserialize(deserializer).map(MemberId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_first_members_are_told_the_same() {
        let founder = |id| Founder {
            id: MemberId(id),
            node: format!("node-{id}"),
            peer_address: format!("host:{id}"),
            client_address: format!("host:1{id}"),
        };
        let limits = Limits { waiters: 7, ..Limits::default() };
        let genesis = Genesis::new(vec![founder(1), founder(2)], 3, &limits, 99).unwrap();
        let request = genesis.request("default/sample", PartitionId(2));
        assert_eq!((request.partition, request.partitions, request.slots), (2, 3, 32_766));
        assert_eq!((request.born_ms, request.members.len()), (99, 2));
        assert_eq!(Limits::from(&request.limits.unwrap()), limits);
        assert_eq!(request.members[1].peer_address, "host:2");
        assert!(Genesis::new(Vec::new(), 0, &limits, 99).is_err());
    }
}
