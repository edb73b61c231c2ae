//! A request of a session is executed once, however often it arrives, and always answered with what came of that
//! execution (C2; F9 in the list of faults).

use bytes::Bytes;
use synod_proto::log::v1::proposal::Body;
use synod_types::{Error, SessionId};

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
