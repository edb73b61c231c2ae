//! What a client has heard of its operation, and what that makes of it in a history.

use synod_types::{Error, ErrorCode};

/// What is known of the outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<O> {
    /// The object has answered, perhaps with a refusal: record it as answered.
    Answer(Result<O, ErrorCode>),
    /// It may have happened, or may still happen: record it as open.
    Unknown,
    /// It certainly never happens: leave it out of the history.
    NotDone,
}

impl<O> Heard<O> {
    /// Judges the last thing that a client has heard of an operation. `retried` says that the operation was sent more
    /// than once: an error of the last attempt then says nothing of the earlier ones.
    ///
    /// Refusals by the object itself are answers: they went through the log, and are stored and repeated like any
    /// other result.
    pub fn of(result: Result<O, &Error>, retried: bool) -> Self {
        let error = match result {
            Ok(output) => return Self::Answer(Ok(output)),
            Err(error) => error,
        };
        match error.code() {
            code if is_answer(code) && !error.may_have_happened() => Self::Answer(Err(code)),
            // The session is gone, or has moved on; an earlier attempt may have been executed before.
            ErrorCode::SessionNotFound | ErrorCode::StaleSequence => Self::Unknown,
            _ if retried || error.may_have_happened() => Self::Unknown,
            _ => Self::NotDone,
        }
    }
}

/// Whether the models know this refusal.
const fn is_answer(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Invalid
            | ErrorCode::NotFound
            | ErrorCode::AlreadyExists
            | ErrorCode::Conflict
            | ErrorCode::Forbidden
            | ErrorCode::NotHeld
            | ErrorCode::Expired
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certain_failures_are_left_out() {
        let heard = |error: Error, retried| Heard::<()>::of(Err(&error), retried);
        let conflict = || Error::new(ErrorCode::Conflict, "");
        assert_eq!(heard(conflict(), false), Heard::Answer(Err(ErrorCode::Conflict)));
        assert_eq!(heard(conflict(), true), Heard::Answer(Err(ErrorCode::Conflict)));
        assert_eq!(heard(Error::ambiguous(ErrorCode::Conflict, ""), false), Heard::Unknown);
        let not_leader = || Error::new(ErrorCode::NotLeader, "");
        assert_eq!(heard(not_leader(), false), Heard::NotDone);
        assert_eq!(heard(not_leader(), true), Heard::Unknown);
        assert_eq!(heard(Error::ambiguous(ErrorCode::Timeout, ""), false), Heard::Unknown);
        assert_eq!(heard(Error::new(ErrorCode::SessionNotFound, ""), false), Heard::Unknown);
        assert_eq!(Heard::of(Ok(7), true), Heard::Answer(Ok(7)));
    }
}
