//! What members hold, and who belongs to a partition.

use std::collections::BTreeSet;

use synod_proto::types::v1::Member;

/// A partition: its group ("namespace/name") and its number.
pub(super) type Partition = (String, u32);

#[derive(Clone)]
pub(super) struct Volume {
    pub(super) id: u64,
    pub(super) partition: Partition,
}

#[derive(Default)]
pub(super) struct Membership {
    pub(super) members: Vec<Member>,
    /// The members that hold data.
    pub(super) started: BTreeSet<u64>,
    pub(super) leader: u64,
    pub(super) term: u64,
}

impl Membership {
    pub(super) fn holds_data(&self, id: u64) -> bool {
        self.started.contains(&id) && self.members.iter().any(|member| member.id == id)
    }

    /// A founder begins. The first of them leads as soon as they are a majority.
    pub(super) fn start(&mut self, id: u64) {
        self.started.insert(id);
        if self.leader == 0 && self.started.len() > self.members.len() / 2 {
            self.take_over(self.started.first().copied().unwrap_or_default());
        }
    }

    /// A member that is there gets all that the others hold, as soon as somebody leads.
    pub(super) fn supply(&mut self, id: u64) {
        if self.leader != 0 && self.members.iter().any(|member| member.id == id) {
            self.started.insert(id);
        }
    }

    pub(super) fn take_over(&mut self, id: u64) {
        self.leader = id;
        self.term += 1;
    }

    /// A member has lost all it held. Nobody leads when no majority is left.
    pub(super) fn lose(&mut self, id: u64) {
        self.started.remove(&id);
        let left = self.members.iter().filter(|member| self.started.contains(&member.id)).count();
        if left <= self.members.len() / 2 {
            self.leader = 0;
        }
    }

    /// A member goes on alone, as another one.
    pub(super) fn recover(&mut self, survivor: u64, id: u64) {
        self.members.retain(|member| member.id == survivor);
        self.members.iter_mut().for_each(|member| member.id = id);
        self.started = BTreeSet::from([id]);
        self.take_over(id);
    }
}
