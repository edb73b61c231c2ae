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

#[derive(Default)]
pub(super) struct Election {
    header: Header,
    /// The header as it is stored.
    stored: Header,
    /// Who waits, by place.
    queue: BTreeMap<u64, Candidate>,
    /// The places that differ from what is stored.
    touched: BTreeSet<u64>,
}

impl Election {
    pub(super) fn read(view: &View<'_>) -> Outcome<Self> {
        let header: Header = view.read(Record::Header, b"", "election")?.unwrap_or_default();
        let queue = view.numbered(Record::Queue, "candidate").collect::<Outcome<_>>()?;
        Ok(Self { stored: header.clone(), header, queue, touched: BTreeSet::new() })
    }

    pub(super) fn is_changed(&self) -> bool {
        self.header != self.stored || !self.touched.is_empty()
    }

    /// Stores what was changed.
    pub(super) fn write(&self, context: &mut Context<'_>) -> Outcome<()> {
        for place in &self.touched {
            match self.queue.get(place) {
                Some(candidate) => context.write(Record::Queue, &place.to_be_bytes(), candidate)?,
                None => context.delete(Record::Queue, &place.to_be_bytes())?,
            }
        }
        if self.header != self.stored {
            context.write(Record::Header, b"", &self.header)?;
        }
        Ok(())
    }

    /// Puts somebody into a place, or nobody, and returns who was there.
    fn set(&mut self, place: u64, candidate: Option<Candidate>) -> Option<Candidate> {
        self.touched.insert(place);
        match candidate {
            Some(candidate) => self.queue.insert(place, candidate),
            None => self.queue.remove(&place),
        }
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

    fn first(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(first, _)| *first)
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
        self.set(place, Some(candidate));
    }

    /// Makes somebody the leader of a new term and returns the leader before.
    fn lead(&mut self, candidate: Candidate) -> Option<Candidate> {
        self.header.term = self.header.term.saturating_add(1);
        self.header.leader.replace(candidate)
    }

    /// Takes some out. Only then, if the leader was among them, the first who still waits takes over.
    pub(super) fn remove(&mut self, ids: &BTreeSet<String>) {
        let gone = self.queue.iter().filter(|(_, candidate)| ids.contains(&candidate.id));
        for place in gone.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.set(place, None);
        }
        if self.header.leader.as_ref().is_some_and(|leader| ids.contains(&leader.id)) {
            self.header.leader = None;
            if let Some(next) = self.first().and_then(|first| self.set(first, None)) {
                self.lead(next);
            }
        }
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) {
        self.touched.extend(self.queue.keys());
        self.queue.clear();
        self.header.leader = None;
    }

    /// Makes somebody who waits the leader; the leader before waits at the head of the queue.
    pub(super) fn anoint(&mut self, id: &str) {
        let Some(chosen) = self.place_of(id).and_then(|place| self.set(place, None)) else {
            return;
        };
        if let Some(before) = self.lead(chosen) {
            let place = self.first().map_or(MIDDLE, |first| first.saturating_sub(1));
            self.set(place, Some(before));
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
            if let Some(first) = self.first() {
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
        let first = self.set(one, None);
        let second = self.set(other, first);
        self.set(one, second);
    }

    fn swap_with_leader(&mut self, place: u64) {
        if let Some(next) = self.set(place, None) {
            let before = self.lead(next);
            self.set(place, before);
        }
    }
}
