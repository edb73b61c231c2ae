//! Applying a batch: time, timers, then proposal by proposal.

use bytes::Bytes;
use prost::Message as _;
use synod_primitives as primitives;
use synod_proto::log::v1::proposal::Body;
use synod_proto::log::v1::{Batch, OpenSession, Proposal};
use synod_proto::primitive::v1::Command;
use synod_storage::state::Fault;
use synod_types::{Error, ErrorCode, LogTime, Sequence, SessionId};

use super::sessions::{self, Admission};
use super::{Effects, Machine, Outcome};

/// A proposal of a session, without its command.
struct Ticket {
    session: SessionId,
    sequence: Sequence,
    acknowledged: Sequence,
}

impl Machine {
    pub(super) fn apply_batch(&mut self, batch: Batch, effects: &mut Effects) -> Result<(), Fault> {
        let applied = &mut self.frame.applied;
        applied.time = applied.time.max(LogTime(batch.time_ms));
        if batch.leader_change {
            applied.leader_since = applied.time;
        }
        let environment = self.frame.environment(self.frame.applied.index.next(), SessionId::default());
        primitives::fire_timers(&mut *self.store, environment, &mut self.changes)?;
        self.record_changes();
        for proposal in batch.proposals {
            self.frame.applied.index = self.frame.applied.index.next();
            let outcome = self.apply_proposal(proposal, effects)?;
            self.record_changes();
            effects.outcomes.push(outcome);
        }
        Ok(())
    }

    fn apply_proposal(&mut self, proposal: Proposal, effects: &mut Effects) -> Result<Outcome, Fault> {
        let Proposal { session_id, sequence, acknowledged, body } = proposal;
        let session = SessionId(session_id);
        let ticket = Ticket { session, sequence: Sequence(sequence), acknowledged: Sequence(acknowledged) };
        let result = match body {
            Some(Body::Command(command)) => return self.apply_command(&ticket, command),
            Some(Body::OpenSession(open)) => self.open_session(&open, effects)?,
            Some(Body::CloseSession(_)) => self.close_session(session, effects)?,
            None => {
                Err(Error::new(ErrorCode::NotSupported, "this version of Synod does not know the proposal"))
            }
        };
        Ok(Outcome { index: self.frame.applied.index, result: result.map(|()| Bytes::new()) })
    }

    /// Opens a session, whose id is the index of the command.
    fn open_session(
        &mut self,
        open: &OpenSession,
        effects: &mut Effects,
    ) -> Result<Result<(), Error>, Fault> {
        let session = SessionId(self.frame.applied.index.get());
        let limits = &self.frame.configuration.limits;
        let result = sessions::open(&mut *self.store, session, open, self.sessions_open, limits)?;
        if result.is_ok() {
            self.sessions_open += 1;
            effects.opened.push((session, open.timeout_ms));
        }
        Ok(result)
    }

    /// Ends a session, and with it what was bound to it.
    fn close_session(
        &mut self,
        session: SessionId,
        effects: &mut Effects,
    ) -> Result<Result<(), Error>, Fault> {
        if !sessions::close(&mut *self.store, session)? {
            return Ok(Err(sessions::gone()));
        }
        self.sessions_open = self.sessions_open.saturating_sub(1);
        effects.closed.push(session);
        let environment = self.frame.environment(self.frame.applied.index, session);
        primitives::session_ended(&mut *self.store, environment, session, &mut self.changes)?;
        Ok(Ok(()))
    }

    /// Executes a command, at most once for each sequence of a session (C2).
    fn apply_command(&mut self, ticket: &Ticket, command: Bytes) -> Result<Outcome, Fault> {
        let index = self.frame.applied.index;
        if ticket.session == SessionId::default() {
            return Ok(Outcome { index, result: self.execute(ticket.session, command)? });
        }
        let limits = &self.frame.configuration.limits;
        let Ticket { session, sequence, acknowledged } = *ticket;
        match sessions::admit(&mut *self.store, session, sequence, acknowledged, &command, limits)? {
            Admission::Execute(slot) => {
                let outcome = Outcome { index, result: self.execute(session, command)? };
                slot.keep(&mut *self.store, &outcome)?;
                Ok(outcome)
            }
            Admission::Replay(outcome) => Ok(outcome),
            Admission::Refuse(error) => Ok(Outcome { index, result: Err(error) }),
        }
    }

    fn execute(&mut self, session: SessionId, command: Bytes) -> Result<Result<Bytes, Error>, Fault> {
        let limit = self.frame.configuration.limits.request_bytes;
        if command.len() as u64 > limit {
            let message = format!("the request has {} bytes: use at most {limit}", command.len());
            return Ok(Err(Error::new(ErrorCode::Invalid, message)));
        }
        let Ok(command) = Command::decode(command) else {
            return Ok(Err(Error::new(ErrorCode::Invalid, "the command cannot be decoded")));
        };
        let environment = self.frame.environment(self.frame.applied.index, session);
        primitives::apply(&mut *self.store, environment, command, &mut self.changes)
    }
}
