//! What clients asked and were answered: the material for the checkers.

use synod_types::{Monotonic, SessionId};

use crate::linearizability::Operation;
use crate::linearizability::models::primitives::{Input, Output};
use crate::oracle::{expiry, session, watch};

/// An event as a watcher received it.
pub(super) type Seen = synod_proto::primitive::v1::event::Event;

/// The life of a session, as its client knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLife {
    pub(super) session: SessionId,
    /// The first moment at which it may have expired.
    pub(super) expires_at: Monotonic,
}

/// Everything that is judged at the end of a run.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) operations: Vec<Operation<Input, Output>>,
    pub(super) answered: Vec<session::Answered>,
    pub(super) sessions: Vec<SessionLife>,
    /// What kept each session alive that its client did not close, and when the client heard that it is gone.
    pub(super) lives: Vec<expiry::Life>,
    pub(super) watchers: Vec<watch::Watcher<Seen>>,
    /// How many requests were given up.
    pub(super) abandoned: u64,
}

impl Recorder {
    /// How many answers were recorded.
    pub(super) fn answers(&self) -> usize {
        self.operations.iter().filter(|operation| operation.returned.is_some()).count()
    }
}
