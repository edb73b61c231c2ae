//! From what goes over the wire to what the models speak of: requests become inputs, responses become outputs.
//!
//! A recorder that has the encoded request and response of an operation needs nothing else. Requests that the models do
//! not know (creation, deletion and description of primitives) have no input.
//!
//! What must not go here: judgement.

mod answer;
mod request;

pub use answer::{answer, listing};
pub use request::{command, query, scan};

/// A response that is not the one that its request has: the recorder is wrong, or the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response to {request} cannot be read: {reason}")]
pub struct UnreadableResponse {
    /// What was asked for.
    pub request: String,
    /// Why its response cannot be read.
    pub reason: String,
}
