//! What can go wrong, and what a program can conclude from it.

use std::fmt;

use synod_proto::types::v1::Error as WireError;
use synod_types::ErrorCode;
use tonic::Status;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation has no result.
///
/// Three questions have an answer: what went wrong ([`Error::code`]), whether the same operation may succeed later
/// ([`Error::is_retryable`]), and whether the write may have happened all the same ([`Error::may_have_happened`]).
/// The client has already tried again, for as long as the timeout of the request allows, wherever that is safe: an
/// error is what is left to be decided by the program.
///
/// Besides what its own documentation says, every operation may fail with
///
/// | code | meaning | may have happened |
/// |---|---|---|
/// | [`Invalid`](ErrorCode::Invalid) | a name, key, value or option is not allowed | no |
/// | [`Forbidden`](ErrorCode::Forbidden) | the name belongs to another kind of primitive, or the caller may not see the group | no |
/// | [`Unauthenticated`](ErrorCode::Unauthenticated) | the controller wants to know who asks, and is not told | no |
/// | [`NotFound`](ErrorCode::NotFound) | the primitive must exist already, and does not | no |
/// | [`Timeout`](ErrorCode::Timeout) | no answer within the request timeout | if it was sent |
/// | [`ResourceExhausted`](ErrorCode::ResourceExhausted) | too much was asked, until the time was over | no |
/// | [`SessionNotFound`](ErrorCode::SessionNotFound) | the session expired before the answer came | yes |
/// | [`Cancelled`](ErrorCode::Cancelled) | the client was closed | if it was sent |
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] synod_types::Error);

impl Error {
    /// An error after which nothing was written.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(synod_types::Error::new(code, message))
    }

    /// An error after which it is not known whether something was written.
    pub(crate) fn ambiguous(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(synod_types::Error::ambiguous(code, message))
    }

    /// The same error, after an attempt whose outcome is not known.
    pub(crate) fn into_ambiguous(self) -> Self {
        Self::ambiguous(self.code(), self.0.message())
    }

    /// The client was closed by the program.
    pub(crate) fn closed() -> Self {
        Self::new(ErrorCode::Cancelled, "the client is closed")
    }

    /// What a failed unary call says.
    pub(crate) fn from_status(status: &Status) -> Self {
        WireError::from_status(status).into()
    }

    /// What kind of thing went wrong.
    pub const fn code(&self) -> ErrorCode {
        self.0.code()
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        self.0.message()
    }

    /// Whether the same operation may succeed later. If it [may have happened](Error::may_have_happened), doing it
    /// again may do it twice.
    pub const fn is_retryable(&self) -> bool {
        self.0.is_retryable()
    }

    /// Whether the write may have happened, although this is an error. Always false for reads.
    pub const fn may_have_happened(&self) -> bool {
        self.0.may_have_happened()
    }

    /// What to do about it, for people, if there is something to say in general.
    pub const fn hint(&self) -> Option<&'static str> {
        if self.may_have_happened() {
            return Some("read the state to learn whether the write happened before doing it again");
        }
        match self.code() {
            ErrorCode::Conflict => Some("read the current version or value, then decide again"),
            ErrorCode::Compacted => Some("read the state again and watch from there"),
            ErrorCode::Unavailable | ErrorCode::Timeout => {
                Some("check that a majority of the group's replicas runs and can be reached")
            }
            ErrorCode::ResourceExhausted => Some("send less at a time, or try again later"),
            ErrorCode::SessionNotFound => {
                Some("what the session held is released: acquire locks and enter elections again")
            }
            _ => None,
        }
    }

    /// The same error with more said in front: `context: message`.
    pub(crate) fn within(self, context: impl fmt::Display) -> Self {
        Self(self.0.within(context))
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self(error.into())
    }
}

impl From<Error> for synod_types::Error {
    fn from(error: Error) -> Self {
        error.0
    }
}
