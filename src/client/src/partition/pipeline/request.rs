//! What is asked of a partition, and what comes of it.

use std::sync::Arc;

use bytes::Bytes;
use synod_proto::session::v1::Consistency;
use synod_types::{Monotonic, SessionId};
use tokio::sync::oneshot;

use crate::error::Result;
use crate::tenure::Tenure;

/// Names a request or a watch of one pipeline.
pub(crate) type RequestId = u64;

/// Something to be asked of a partition.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) work: Work,
    /// When whoever asked stops waiting. Without one it is tried for as long as its session lives.
    pub(crate) deadline: Option<Monotonic>,
    /// Who waits, if anybody does.
    pub(crate) answer: Option<oneshot::Sender<Result<Answer>>>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Work {
    Write {
        /// An encoded command.
        command: Bytes,
        under: Under,
        /// Send it again when the server has too much to do. Not for commands of which "too much" may be the result.
        patient: bool,
    },
    Read {
        /// An encoded query.
        query: Bytes,
        consistency: Consistency,
    },
}

/// The session under which a write makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// Any; one is opened if there is none.
    Any,
    /// This one. When it is over, so is the write.
    Only(SessionId),
    /// The one that is open now. If there is none, there is nothing to write.
    Current,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The encoded response.
    pub(crate) result: Bytes,
    /// Everything up to this command is reflected in it.
    pub(crate) index: u64,
    /// The session under which a write was executed.
    pub(crate) tenure: Option<Arc<Tenure>>,
}
