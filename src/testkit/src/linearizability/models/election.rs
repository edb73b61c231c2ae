//! The leader election. Every answer but a refusal shows the whole state, so little is left to search.

use synod_types::{ErrorCode, PrimitiveId};

use super::Answer;
use crate::linearizability::model::{Call, Model, Scope};

/// What can be done to an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enters a candidate for a session.
    Enter {
        /// Who.
        candidate: String,
        /// Whose; 0 for none, which is refused.
        session: u64,
    },
    /// Takes a candidate of a session out.
    Withdraw {
        /// Who.
        candidate: String,
        /// Whose; 0 for none.
        session: u64,
    },
    /// Makes a waiting candidate the leader.
    Anoint(String),
    /// Moves a candidate one place up.
    Promote(String),
    /// Moves a candidate one place down.
    Demote(String),
    /// Takes any candidate out.
    Evict(String),
    /// Shows the state.
    Get,
    /// Ends a session. It is answered with the state after it, or without one.
    EndSession(u64),
}

/// An action on an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which election.
    pub election: PrimitiveId,
    /// What is done to it.
    pub action: Action,
}

/// The state of an election, as it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// The term; 0 before the first leader.
    pub id: u64,
    /// Who leads; empty if nobody does.
    pub leader: String,
    /// Who waits, first in line first.
    pub queue: Vec<String>,
}

/// What an election answers: its state, or nothing to the end of a session.
pub type Output = Option<Term>;

/// Who leads and who waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ElectionState {
    term: u64,
    /// The candidates with their sessions. If there are any, the first leads.
    candidates: Vec<(String, u64)>,
}

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct ElectionModel;

impl Model for ElectionModel {
    type Input = Input;
    type Output = Answer<Output>;
    type State = ElectionState;
    type Key = PrimitiveId;

    fn scope(&self, input: &Input) -> Scope<PrimitiveId> {
        Scope::One(input.election)
    }

    fn initial(&self, _: &[PrimitiveId]) -> ElectionState {
        ElectionState::default()
    }

    fn step(
        &self,
        state: &ElectionState,
        call: Call<'_, Input, Answer<Output>>,
        next: &mut Vec<ElectionState>,
    ) {
        let mut after = state.clone();
        let done = after.act(&call.input.action);
        let fits = match (done, call.output) {
            (_, None) => true,
            (Ok(()), Some(Ok(Some(term)))) => after.is(term),
            (Ok(()), Some(Ok(None))) => matches!(call.input.action, Action::EndSession(_)),
            (Err(expected), Some(Err(code))) => expected == *code,
            _ => false,
        };
        next.extend(fits.then_some(after));
    }

    fn observes(&self, input: &Input, output: Option<&Answer<Output>>) -> bool {
        input.action == Action::Get || matches!(output, Some(Err(_)))
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        one.action == other.action
    }
}

impl ElectionState {
    fn is(&self, term: &Term) -> bool {
        let leader = self.candidates.first().map_or("", |(leader, _)| leader);
        let queue = self.candidates.iter().skip(1).map(|(candidate, _)| candidate);
        self.term == term.id && leader == term.leader && queue.eq(&term.queue)
    }

    fn leader(&self) -> Option<&str> {
        self.candidates.first().map(|(leader, _)| leader.as_str())
    }

    fn place_of(&self, candidate: &str) -> Option<usize> {
        self.candidates.iter().position(|(found, _)| found == candidate)
    }

    fn session_of(&self, candidate: &str) -> Option<u64> {
        self.candidates.iter().find(|(found, _)| found == candidate).map(|(_, session)| *session)
    }

    /// Does what an action does. A refusal changes nothing.
    fn act(&mut self, action: &Action) -> Result<(), ErrorCode> {
        let before = self.leader().map(str::to_owned);
        match action {
            Action::Get => {}
            Action::Enter { candidate, session } => self.enter(candidate, *session)?,
            Action::Withdraw { candidate, session } => match self.session_of(candidate) {
                Some(owner) if owner != *session => return Err(ErrorCode::Forbidden),
                _ => self.candidates.retain(|(found, _)| found != candidate),
            },
            Action::Evict(candidate) => self.candidates.retain(|(found, _)| found != candidate),
            Action::EndSession(session) => self.candidates.retain(|(_, owner)| owner != session),
            Action::Anoint(candidate) => {
                if let Some(place) = self.place_of(candidate) {
                    let chosen = self.candidates.remove(place);
                    self.candidates.insert(0, chosen);
                }
            }
            Action::Promote(candidate) => {
                if let Some(place @ 1..) = self.place_of(candidate) {
                    self.candidates.swap(place - 1, place);
                }
            }
            Action::Demote(candidate) => {
                let place = self.place_of(candidate).filter(|place| place + 1 < self.candidates.len());
                if let Some(place) = place {
                    self.candidates.swap(place, place + 1);
                }
            }
        }
        // Only another leader makes a new term, and nobody is no leader.
        if self.leader().is_some_and(|leader| before.as_deref() != Some(leader)) {
            self.term += 1;
        }
        Ok(())
    }

    fn enter(&mut self, candidate: &str, session: u64) -> Result<(), ErrorCode> {
        if session == 0 {
            return Err(ErrorCode::Invalid);
        }
        match self.session_of(candidate) {
            Some(owner) if owner == session => Ok(()),
            Some(_) => Err(ErrorCode::AlreadyExists),
            None => {
                self.candidates.push((candidate.to_owned(), session));
                Ok(())
            }
        }
    }
}
