//! The state of an election, in memory for the time of one command.

use std::collections::{BTreeMap, BTreeSet};

use synod_proto::election::v1::Term;
use synod_types::SessionId;

use crate::context::{Context, Outcome, View};
use crate::keys::Record;

/// The place of the first candidate ever queued: there is as much room before it as behind it.
const MIDDLE: u64 = 1 << 63;

/// Somebody who leads or would like to. The tags are persisted: they and their meaning never change.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Candidate {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Whose end takes the candidate out.
    #[prost(uint64, tag = "2")]
    pub(super) session: u64,
}

impl Candidate {
    pub(super) const fn session(&self) -> SessionId {
        SessionId(self.session)
    }
}

/// The tags are persisted: they and their meaning never change.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(message, optional, tag = "2")]
    leader: Option<Candidate>,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Election {
    header: Header,
    /// Who waits, by place.
    queue: BTreeMap<u64, Candidate>,
}

impl Election {
    pub(super) fn read(view: &View<'_>) -> Outcome<Self> {
        Ok(Self {
            header: view.read(Record::Header, b"", "election")?.unwrap_or_default(),
            queue: view.numbered(Record::Queue, "candidate").collect::<Outcome<_>>()?,
        })
    }

    /// Stores what differs from `before`.
    pub(super) fn write(&self, context: &mut Context<'_>, before: &Self) -> Outcome<()> {
        for place in before.queue.keys().filter(|place| !self.queue.contains_key(place)) {
            context.delete(Record::Queue, &place.to_be_bytes())?;
        }
        for (place, candidate) in &self.queue {
            if before.queue.get(place) != Some(candidate) {
                context.write(Record::Queue, &place.to_be_bytes(), candidate)?;
            }
        }
        if self.header != before.header {
            context.write(Record::Header, b"", &self.header)?;
        }
        Ok(())
    }

    pub(super) fn term(&self) -> Term {
        Term {
            id: self.header.term,
            leader: self.header.leader.as_ref().map_or_else(String::new, |leader| leader.id.clone()),
            queue: self.queue.values().map(|candidate| candidate.id.clone()).collect(),
        }
    }

    /// The leader, then those who wait, in order.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.header.leader.iter().chain(self.queue.values())
    }

    pub(super) fn find(&self, id: &str) -> Option<&Candidate> {
        self.candidates().find(|candidate| candidate.id == id)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.queue.len() as u64
    }

    fn leads(&self, id: &str) -> bool {
        self.header.leader.as_ref().is_some_and(|leader| leader.id == id)
    }

    fn place_of(&self, id: &str) -> Option<u64> {
        let mut places = self.queue.iter();
        places.find(|(_, candidate)| candidate.id == id).map(|(place, _)| *place)
    }

    /// Adds somebody who is not in yet: as the leader if nobody leads, else as the last to wait.
    pub(super) fn enter(&mut self, candidate: Candidate) {
        if self.header.leader.is_none() {
            self.lead(candidate);
            return;
        }
        let last = self.queue.last_key_value();
        let place = last.map_or(MIDDLE, |(place, _)| place.saturating_add(1));
        self.queue.insert(place, candidate);
    }

    /// Makes somebody the leader of a new term and returns the leader before.
    fn lead(&mut self, candidate: Candidate) -> Option<Candidate> {
        self.header.term = self.header.term.saturating_add(1);
        self.header.leader.replace(candidate)
    }

    /// Takes some out. Only then, if the leader was among them, the first who still waits takes over.
    pub(super) fn remove(&mut self, ids: &BTreeSet<String>) {
        self.queue.retain(|_, candidate| !ids.contains(&candidate.id));
        if self.header.leader.as_ref().is_some_and(|leader| ids.contains(&leader.id)) {
            self.header.leader = None;
            if let Some((_, next)) = self.queue.pop_first() {
                self.lead(next);
            }
        }
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.header.leader = None;
    }

    /// Makes somebody who waits the leader; the leader before waits at the head of the queue.
    pub(super) fn anoint(&mut self, id: &str) {
        let Some(chosen) = self.place_of(id).and_then(|place| self.queue.remove(&place)) else {
            return;
        };
        if let Some(before) = self.lead(chosen) {
            let first = self.queue.first_key_value();
            let place = first.map_or(MIDDLE, |(place, _)| place.saturating_sub(1));
            self.queue.insert(place, before);
        }
    }

    /// Moves somebody who waits one place up; the first changes places with the leader.
    pub(super) fn promote(&mut self, id: &str) {
        let Some(place) = self.place_of(id) else {
            return;
        };
        match self.queue.range(..place).next_back().map(|(above, _)| *above) {
            Some(above) => self.swap(above, place),
            None => self.swap_with_leader(place),
        }
    }

    /// Moves somebody one place down; the leader changes places with the first in the queue.
    pub(super) fn demote(&mut self, id: &str) {
        if self.leads(id) {
            if let Some(first) = self.queue.first_key_value().map(|(first, _)| *first) {
                self.swap_with_leader(first);
            }
        } else if let Some(place) = self.place_of(id) {
            let below = self.queue.range(place..).nth(1).map(|(below, _)| *below);
            if let Some(below) = below {
                self.swap(place, below);
            }
        }
    }

    fn swap(&mut self, one: u64, other: u64) {
        if let (Some(first), Some(second)) = (self.queue.remove(&one), self.queue.remove(&other)) {
            self.queue.insert(one, second);
            self.queue.insert(other, first);
        }
    }

    fn swap_with_leader(&mut self, place: u64) {
        if let Some(next) = self.queue.remove(&place) {
            let before = self.lead(next);
            self.queue.extend(before.map(|before| (place, before)));
        }
    }
}
