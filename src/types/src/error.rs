//! The one error that crosses crates, the wire and the CLI.
//!
//! An error answers three questions: what went wrong ([`Error::code`] and its text), whether to try again
//! ([`Error::is_retryable`]), and whether the write may have happened ([`Error::may_have_happened`]).

use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. The numbers are on the wire and in stored results: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ErrorCode {
    /// An argument is not allowed. Sending it again cannot help.
    Invalid = 1,
    /// The thing asked for does not exist.
    NotFound = 2,
    /// The thing to be created exists already.
    AlreadyExists = 3,
    /// A condition of the request does not hold: another version, another value, another holder.
    Conflict = 4,
    /// The name belongs to another kind of primitive, or the caller may not do this.
    Forbidden = 5,
    /// The caller does not hold the lock under that fence.
    NotHeld = 6,
    /// The time to wait for a lock is over.
    Expired = 7,
    /// The key lives on another partition: refresh the slot table.
    WrongPartition = 8,
    /// Another replica leads; the write was not tried.
    NotLeader = 9,
    /// No answer can be had right now: no leader, no quorum, or a leader change in mid-flight.
    Unavailable = 10,
    /// The caller's deadline passed first.
    Timeout = 11,
    /// A queue or a limit is full; nothing was done.
    ResourceExhausted = 12,
    /// The history no longer reaches back to the position asked for: read the state again.
    Compacted = 13,
    /// The session is closed or expired, for certain and for ever.
    SessionNotFound = 14,
    /// The result of this request was acknowledged before: the request is a late duplicate and is not run.
    StaleSequence = 15,
    /// The caller could not be identified.
    Unauthenticated = 16,
    /// This server does not know the request.
    NotSupported = 17,
    /// The replica's data is damaged: it takes no part until it is replaced.
    Corrupt = 18,
    /// The caller gave the request up.
    Cancelled = 19,
    /// A fault of Synod itself.
    Internal = 20,
    /// The primitive does not exist on this partition, or was deleted: create it, then send the request again.
    UnknownPrimitive = 21,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 21] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Forbidden,
        Self::NotHeld,
        Self::Expired,
        Self::WrongPartition,
        Self::NotLeader,
        Self::Unavailable,
        Self::Timeout,
        Self::ResourceExhausted,
        Self::Compacted,
        Self::SessionNotFound,
        Self::StaleSequence,
        Self::Unauthenticated,
        Self::NotSupported,
        Self::Corrupt,
        Self::Cancelled,
        Self::Internal,
        Self::UnknownPrimitive,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The code with this number; [`ErrorCode::Internal`] for one that a newer peer invented.
    pub fn from_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|code| code.number() == number).unwrap_or(Self::Internal)
    }

    /// The name in messages and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Conflict => "CONFLICT",
            Self::Forbidden => "FORBIDDEN",
            Self::NotHeld => "NOT_HELD",
            Self::Expired => "EXPIRED",
            Self::WrongPartition => "WRONG_PARTITION",
            Self::NotLeader => "NOT_LEADER",
            Self::Unavailable => "UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Compacted => "COMPACTED",
            Self::SessionNotFound => "SESSION_NOT_FOUND",
            Self::StaleSequence => "STALE_SEQUENCE",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::Corrupt => "CORRUPT",
            Self::Cancelled => "CANCELLED",
            Self::Internal => "INTERNAL",
            Self::UnknownPrimitive => "UNKNOWN_PRIMITIVE",
        }
    }

    /// Whether the same request may succeed later. A write is safe to send again only under the same session
    /// and sequence, or when [`Error::may_have_happened`] is false.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::NotLeader
                | Self::Unavailable
                | Self::Timeout
                | Self::ResourceExhausted
                | Self::WrongPartition
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, for programs and for people.
///
/// The text is lower case, says what was attempted and what is allowed, and holds nothing that differs between
/// replicas: it may be part of a stored result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: ErrorCode,
    message: String,
    ambiguous: bool,
}

impl Error {
    /// An error after which it is certain that nothing was written.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), ambiguous: false }
    }

    /// An error after which the write may or may not have happened, or may still happen.
    pub fn ambiguous(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), ambiguous: true }
    }

    /// What kind of thing went wrong.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed later; see [`ErrorCode::is_retryable`].
    pub const fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    /// Whether the write may have happened, or may still happen, although this is an error.
    pub const fn may_have_happened(&self) -> bool {
        self.ambiguous
    }

    /// The same error with more said in front: `context: message`.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_unknown_ones_are_internal() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), code);
        }
        assert_eq!(ErrorCode::from_number(999), ErrorCode::Internal);
    }

    #[test]
    fn a_definite_failure_is_not_ambiguous() {
        let error = Error::new(ErrorCode::NotLeader, "member 2 leads");
        assert!(error.is_retryable() && !error.may_have_happened());
        assert!(Error::ambiguous(ErrorCode::Timeout, "no answer").may_have_happened());
    }
}
