//! What a replica keeps of itself in the table `Meta`: configuration, progress, members.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use synod_primitives::Placement;
use synod_proto::log::v1 as wire;
use synod_proto::types::v1::Member;
use synod_protocol::{Membership, SnapshotMetadata};
use synod_storage::state::{Fault, KeyRange, StateRead, StateStore, Table};
use synod_types::{Index, Limits, LogIndex, LogTime, MemberId, PartitionId, Position, SlotTable, Term};

use crate::wire::{membership_from_wire, membership_to_wire};

const FORMAT: u8 = 1;

/// How far beyond its birthday the history stands before the first change: no place in it is 0, which says "from now on".
const BIRTH: Position = Position(1);

/// How many commands and changes a group is taken to make in each millisecond of its life, at most.
const COUNTED_PER_MS: u64 = 1 << 10;

const CONFIGURATION: &[u8] = b"configuration";
const APPLIED: &[u8] = b"applied";
const MEMBERSHIP: &[u8] = b"membership";
const MEMBER: &[u8] = b"member/";

/// A stored message: a format byte, then its encoding.
pub(super) fn encode(message: &impl Message) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + message.encoded_len());
    stored.push(FORMAT);
    message.encode_raw(&mut stored);
    stored
}

/// Reads a stored message.
pub(super) fn decode<M: Message + Default>(stored: &[u8], what: &str) -> Result<M, Fault> {
    let message = match stored.split_first() {
        Some((&FORMAT, message)) => M::decode(message).ok(),
        _ => None,
    };
    message.ok_or_else(|| Fault(format!("cannot read a stored {what}: unknown format or damaged")))
}

fn load<M: Message + Default>(store: &dyn StateRead, key: &[u8], what: &str) -> Result<M, Fault> {
    let stored = store.get(Table::Meta, key)?;
    let stored = stored.ok_or_else(|| Fault(format!("the state has no {what}")))?;
    decode(&stored, what)
}

/// What a partition is configured to at its birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// "namespace/name".
    pub group: String,
    /// The bounds on requests and state.
    pub limits: Limits,
    /// Which keys live here.
    pub placement: Placement,
    /// The log time of the birth.
    pub born: LogTime,
}

impl Configuration {
    pub(super) fn load(store: &dyn StateRead) -> Result<Self, Fault> {
        let stored: wire::Configuration = load(store, CONFIGURATION, "configuration")?;
        let slots = SlotTable::with_moves(stored.partitions, stored.slots, [])
            .map_err(|error| Fault(format!("the stored configuration is not valid: {error}")))?;
        Ok(Self {
            group: stored.group,
            limits: Limits::from(&stored.limits.unwrap_or_default()),
            placement: Placement { partition: PartitionId(stored.partition), slots },
            born: LogTime(stored.born_ms),
        })
    }

    fn save(&self, store: &mut dyn StateStore) -> Result<(), Fault> {
        let stored = wire::Configuration {
            group: self.group.clone(),
            partition: self.placement.partition.get(),
            partitions: self.placement.slots.partitions(),
            slots: self.placement.slots.slots(),
            limits: Some((&self.limits).into()),
            born_ms: self.born.get(),
        };
        store.put(Table::Meta, CONFIGURATION, &encode(&stored)).map(|_| ())
    }
}

/// How far the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last entry.
    pub log_index: LogIndex,
    /// The term of that entry.
    pub term: Term,
    /// The last command.
    pub index: Index,
    /// The last change.
    pub position: Position,
    /// Log time.
    pub time: LogTime,
    /// The log time of the last leader change.
    pub leader_since: LogTime,
}

impl Applied {
    pub(super) fn load(store: &dyn StateRead) -> Result<Self, Fault> {
        let stored: wire::Applied = load(store, APPLIED, "progress")?;
        Ok(Self {
            log_index: LogIndex(stored.log_index),
            term: Term(stored.term),
            index: Index(stored.index),
            position: Position(stored.position),
            time: LogTime(stored.time_ms),
            leader_since: LogTime(stored.leader_since_ms),
        })
    }

    pub(super) fn save(&self, store: &mut dyn StateStore) -> Result<(), Fault> {
        let stored = wire::Applied {
            log_index: self.log_index.get(),
            term: self.term.get(),
            index: self.index.get(),
            position: self.position.get(),
            time_ms: self.time.get(),
            leader_since_ms: self.leader_since.get(),
        };
        store.put(Table::Meta, APPLIED, &encode(&stored)).map(|_| ())
    }
}

/// Who takes part: the membership as the protocol counts it, and who the members are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    membership: Membership,
    about: BTreeMap<MemberId, Member>,
}

impl Members {
    pub(super) fn load(store: &dyn StateRead) -> Result<Self, Fault> {
        let stored: wire::Membership = load(store, MEMBERSHIP, "membership")?;
        let mut about = BTreeMap::new();
        for pair in store.scan(Table::Meta, KeyRange::prefix(MEMBER)) {
            let member: Member = decode(&pair?.1, "member")?;
            about.insert(MemberId(member.id), member);
        }
        Ok(Self { membership: membership_from_wire(&stored), about })
    }

    /// The membership as the protocol counts it.
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Who a member is.
    pub fn get(&self, member: MemberId) -> Option<&Member> {
        self.about.get(&member)
    }

    /// Who all members are, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.about.values()
    }

    /// Takes over a changed membership: forgets who left it, and adds who joined.
    pub(super) fn change(
        &mut self,
        store: &mut dyn StateStore,
        membership: Membership,
        about: &Bytes,
    ) -> Result<(), Fault> {
        if !about.is_empty() {
            let member = Member::decode(about.clone())
                .map_err(|error| Fault(format!("a membership entry cannot be read: {error}")))?;
            self.add(store, member)?;
        }
        let all = membership.all();
        let left: Vec<_> = self.about.keys().filter(|member| !all.contains(member)).copied().collect();
        for member in left {
            self.about.remove(&member);
            store.delete(Table::Meta, &member_key(member))?;
        }
        self.membership = membership;
        store.put(Table::Meta, MEMBERSHIP, &encode(&membership_to_wire(&self.membership))).map(|_| ())
    }

    fn add(&mut self, store: &mut dyn StateStore, member: Member) -> Result<(), Fault> {
        store.put(Table::Meta, &member_key(MemberId(member.id)), &encode(&member))?;
        self.about.insert(MemberId(member.id), member);
        Ok(())
    }
}

fn member_key(member: MemberId) -> Vec<u8> {
    [MEMBER, &member.get().to_be_bytes()].concat()
}

/// The beginning of a partition: the state that its first members share.
#[derive(Clone, Debug, PartialEq)]
pub struct Genesis {
    /// What the partition is configured to.
    pub configuration: Configuration,
    /// The first voters.
    pub members: Vec<Member>,
}

impl Genesis {
    /// Where the genesis stands in the log: it is entry 1 of term 1, which nobody ever proposes.
    pub fn metadata(&self) -> SnapshotMetadata {
        let voters = self.members.iter().map(|member| MemberId(member.id));
        SnapshotMetadata { index: LogIndex(1), term: Term(1), membership: Membership::of_voters(voters) }
    }

    /// Writes the initial state into an empty store.
    ///
    /// It counts on from its birthday. A group that was deleted and made again under its name so begins beyond all that
    /// the old one gave out, if the clock was not set back between their births: who was a client of that one cannot take
    /// a session, a version, a fence or the position of a watch for one of the new.
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub fn write(&self, store: &mut dyn StateStore) -> Result<(), Fault> {
        let metadata = self.metadata();
        self.configuration.save(store)?;
        let mut members = Members::default();
        for member in &self.members {
            members.add(store, member.clone())?;
        }
        members.change(store, metadata.membership, &Bytes::new())?;
        let born = self.configuration.born;
        let counted = born.get().saturating_mul(COUNTED_PER_MS);
        let applied = Applied {
            log_index: metadata.index,
            term: metadata.term,
            index: Index(counted),
            position: Position(BIRTH.get().saturating_add(counted)),
            time: born,
            leader_since: born,
        };
        applied.save(store)?;
        store.commit()
    }
}
