//! One operation of a history, as its client saw it.

use synod_types::Monotonic;

/// An operation, with all its retries if the session makes them one.
///
/// All moments of a history are readings of one clock. An operation is before another if it returned at an earlier
/// moment than the other was invoked; at equal moments they are concurrent. So a recorder whose clock is coarse should
/// count up instead of repeating a moment, or orders are missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who sent it. Only for people: a client may have many operations in flight.
    pub client: u64,
    /// What was asked for.
    pub input: I,
    /// No later than the moment at which it was sent for the first time.
    pub invoked_at: Monotonic,
    /// When the answer had come, no earlier than that, and the answer. None if the outcome is not known: the operation
    /// may have taken effect, may do so at any later moment, or never.
    pub returned: Option<(Monotonic, O)>,
}

impl<I, O> Operation<I, O> {
    /// An operation that was answered.
    pub const fn answered(
        client: u64,
        input: I,
        invoked_at: Monotonic,
        returned_at: Monotonic,
        output: O,
    ) -> Self {
        Self { client, input, invoked_at, returned: Some((returned_at, output)) }
    }

    /// An operation whose outcome is not known.
    pub const fn open(client: u64, input: I, invoked_at: Monotonic) -> Self {
        Self { client, input, invoked_at, returned: None }
    }

    /// The answer, if there was one.
    pub fn output(&self) -> Option<&O> {
        self.returned.as_ref().map(|(_, output)| output)
    }

    pub(super) fn returned_at(&self) -> Option<Monotonic> {
        self.returned.as_ref().map(|(returned_at, _)| *returned_at)
    }
}

/// A history that cannot be one: the recorder is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "operation {index} of the history returned at {returned_at:?}, before it was invoked at {invoked_at:?}: \
     record both with one clock"
)]
pub struct MalformedHistory {
    /// The place of the operation in the history.
    pub index: usize,
    /// When it was invoked.
    pub invoked_at: Monotonic,
    /// When it returned.
    pub returned_at: Monotonic,
}
