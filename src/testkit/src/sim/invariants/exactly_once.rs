//! A request of a session is executed once, however often it arrives, and always answered with what came of that
//! execution (C2; F9 in the list of faults).

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_proto::log::v1::proposal::Body;
use synod_proto::session::v1::{Request, reply, request};
use synod_replica::{ClientId, Effect, Tag};
use synod_types::{Error, ErrorCode, MemberId, SessionId};

use super::super::ledger::{Committed, Ledger, is_result};
use super::{Check, Violation};

fn violation(session: SessionId, sequence: u64, what: String) -> Violation {
    Violation::new("exactly once", format!("request {sequence} of session {session} {what}"))
}

/// An entry is committed: none of its requests that were executed before may be executed again.
pub(in crate::sim) fn check(ledger: &Ledger, committed: &Committed<'_>) -> Check {
    for (proposal, outcome) in committed.proposals.iter().zip(&committed.effects.outcomes) {
        let (session, sequence) = (SessionId(proposal.session_id), proposal.sequence);
        let is_command = matches!(proposal.body, Some(Body::Command(_)));
        let Some(first) = ledger.outcome(session, sequence).filter(|_| is_command) else { continue };
        let is_refused = matches!(&outcome.result, Err(error) if !is_result(error.code()));
        if !is_refused && outcome != first {
            return Err(violation(session, sequence, format!("came to {first:?}, and then to {outcome:?}")));
        }
    }
    Ok(())
}

/// A request is answered with a result.
pub(in crate::sim) fn check_answer(
    ledger: &Ledger,
    session: SessionId,
    sequence: u64,
    answer: Result<&Bytes, &Error>,
) -> Check {
    let outcome = ledger.outcome(session, sequence);
    let fits = match (answer, outcome.map(|outcome| &outcome.result)) {
        (Ok(answer), Some(Ok(result))) => answer == result,
        (Err(answer), Some(Err(result))) => answer.code() == result.code(),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(violation(session, sequence, format!("is answered {answer:?}, and came to {outcome:?}")))
}

/// Writes that are under way at each member. What it answers is judged as it leaves, whether or not somebody still
/// listens.
#[derive(Debug, Default)]
pub(in crate::sim) struct Writes {
    asked: BTreeMap<(MemberId, ClientId, Tag), (SessionId, u64)>,
    /// How often each request has reached a member, and how often one said that this attempt does not happen.
    attempts: BTreeMap<(SessionId, u64), (u32, u32)>,
}

impl Writes {
    /// A member is asked.
    pub(in crate::sim) fn asked(&mut self, member: MemberId, client: ClientId, request: &Request) {
        if let Some(request::Body::Propose(propose)) = &request.body {
            let ticket = (SessionId(propose.session_id), propose.sequence);
            self.asked.insert((member, client, request.tag), ticket);
            self.attempts.entry(ticket).or_default().0 += 1;
        }
    }

    /// What a member answers.
    pub(in crate::sim) fn check(&mut self, member: MemberId, effects: &[Effect], ledger: &Ledger) -> Check {
        for effect in effects {
            let Effect::Reply { client, tag, body, .. } = effect else { continue };
            let Some((session, sequence)) = self.asked.remove(&(member, *client, *tag)) else { continue };
            match body {
                reply::Body::Result(result) => check_answer(ledger, session, sequence, Ok(result))?,
                reply::Body::Error(error) => {
                    let error = Error::from(error.clone());
                    if !is_refusal(error.code()) {
                        check_answer(ledger, session, sequence, Err(&error))?;
                    } else if is_result(error.code()) && !error.may_have_happened() {
                        self.attempts.entry((session, sequence)).or_default().1 += 1;
                        let was_executed = ledger.outcome(session, sequence).is_some();
                        self.check_refused(session, sequence, was_executed)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An entry is committed: what it executes was not refused for certain each time that it was asked for.
    pub(in crate::sim) fn check_committed(&self, committed: &Committed<'_>) -> Check {
        for (proposal, outcome) in committed.proposals.iter().zip(&committed.effects.outcomes) {
            let is_executed = matches!(proposal.body, Some(Body::Command(_)))
                && outcome.result.as_ref().map_or_else(|error| is_result(error.code()), |_| true);
            self.check_refused(SessionId(proposal.session_id), proposal.sequence, is_executed)?;
        }
        Ok(())
    }

    fn check_refused(&self, session: SessionId, sequence: u64, is_executed: bool) -> Check {
        let (attempts, refused) = self.attempts.get(&(session, sequence)).copied().unwrap_or_default();
        if is_executed && session != SessionId(0) && refused > 0 && refused >= attempts {
            let what = "is executed, although its client was told each time that it was not";
            return Err(violation(session, sequence, what.to_owned()));
        }
        Ok(())
    }

    /// A process has ended, and what it was asked with it.
    pub(in crate::sim) fn forget(&mut self, member: MemberId) {
        self.asked.retain(|(asked, _, _), _| *asked != member);
    }
}

/// Whether an error says nothing of an execution.
fn is_refusal(code: ErrorCode) -> bool {
    !is_result(code) || matches!(code, ErrorCode::NotLeader | ErrorCode::Unavailable | ErrorCode::Timeout)
}
