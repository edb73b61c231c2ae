//! The election.

mod candidacy;

pub use candidacy::Candidacy;

use synod_proto::election::v1 as wire;
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::event::Event as WireEvent;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_types::Fence;

use crate::error::Result;
use crate::events::Events;
use crate::handle::handle;

handle! {
    /// A leader among candidates, who follow each other in the order in which they entered.
    Election, Election
}

/// The state of an election.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElectionTerm {
    /// How often a new leader has taken over. It is the fence of the leader: whatever the leader acts on can refuse those
    /// of earlier terms.
    pub id: Fence,
    /// Who leads, if anybody does.
    pub leader: Option<String>,
    /// Who waits, first in line first, without the leader.
    pub queue: Vec<String>,
}

impl ElectionTerm {
    /// Whether a candidate leads or waits.
    pub fn contains(&self, candidate: &str) -> bool {
        self.leader.as_deref() == Some(candidate) || self.queue.iter().any(|waiting| waiting == candidate)
    }
}

impl From<wire::Term> for ElectionTerm {
    fn from(term: wire::Term) -> Self {
        let leader = Some(term.leader).filter(|leader| !leader.is_empty());
        Self { id: Fence(term.id), leader, queue: term.queue }
    }
}

impl Election {
    /// Enters a candidate, of 1 to 255 bytes, for as long as the session of this client lives.
    ///
    /// Dropping the future takes the candidate out again, if it was entered.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`](synod_types::ErrorCode::AlreadyExists) when another client entered the same
    /// candidate; whatever else keeps an answer from being had.
    pub async fn enter(&self, candidate: impl Into<String>) -> Result<Candidacy> {
        Candidacy::enter(self.handle.clone(), candidate.into()).await
    }

    /// The state of the election.
    ///
    /// # Errors
    /// When no answer can be had, or the election [must exist](Election::existing) and does not.
    pub async fn get(&self) -> Result<ElectionTerm> {
        let get = Read::ElectionGet(wire::GetRequest::default());
        let response: Option<wire::GetResponse> = self.handle.read(self.handle.home(), get).await?;
        Ok(response.and_then(|response| response.term).unwrap_or_default().into())
    }

    /// Makes a waiting candidate the leader; the old leader waits at the head of the queue. Does nothing for one who does
    /// not wait. Returns the state after it.
    ///
    /// # Errors
    /// As [`Election::get`].
    pub async fn anoint(&self, candidate: impl Into<String>) -> Result<ElectionTerm> {
        let request = wire::AnointRequest { primitive: None, candidate: candidate.into() };
        let anoint = Write::ElectionAnoint(request);
        let response: wire::AnointResponse = self.handle.write(self.handle.home(), anoint).await?;
        Ok(response.term.unwrap_or_default().into())
    }

    /// Moves a candidate one place up; the first in the queue changes places with the leader. Returns the state after it.
    ///
    /// # Errors
    /// As [`Election::get`].
    pub async fn promote(&self, candidate: impl Into<String>) -> Result<ElectionTerm> {
        let request = wire::PromoteRequest { primitive: None, candidate: candidate.into() };
        let promote = Write::ElectionPromote(request);
        let response: wire::PromoteResponse = self.handle.write(self.handle.home(), promote).await?;
        Ok(response.term.unwrap_or_default().into())
    }

    /// Moves a candidate one place down; the leader changes places with the first in the queue. Returns the state after
    /// it.
    ///
    /// # Errors
    /// As [`Election::get`].
    pub async fn demote(&self, candidate: impl Into<String>) -> Result<ElectionTerm> {
        let request = wire::DemoteRequest { primitive: None, candidate: candidate.into() };
        let demote = Write::ElectionDemote(request);
        let response: wire::DemoteResponse = self.handle.write(self.handle.home(), demote).await?;
        Ok(response.term.unwrap_or_default().into())
    }

    /// Takes any candidate out, whoever entered it. Returns the state after it.
    ///
    /// # Errors
    /// As [`Election::get`].
    pub async fn evict(&self, candidate: impl Into<String>) -> Result<ElectionTerm> {
        let request = wire::EvictRequest { primitive: None, candidate: candidate.into() };
        let evict = Write::ElectionEvict(request);
        let response: wire::EvictResponse = self.handle.write(self.handle.home(), evict).await?;
        Ok(response.term.unwrap_or_default().into())
    }

    /// The state after every change from now on.
    pub fn events(&self) -> Events<ElectionTerm> {
        Events::new(&self.handle, term)
    }
}

fn term(event: WireEvent) -> Option<ElectionTerm> {
    match event {
        WireEvent::Election(wire::Event { term }) => Some(term.unwrap_or_default().into()),
        _ => None,
    }
}
