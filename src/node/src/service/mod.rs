//! The gRPC services of a node.

mod admin;
mod caller;
mod forward;
mod health;
mod peer;
mod session;
mod unary;

use synod_proto::types::v1 as wire;
use synod_types::Error;
use tonic::Status;

pub(crate) use admin::{AdminService, ask};
pub(crate) use forward::Forwarder;
pub(crate) use health::health;
pub(crate) use peer::PeerService;
pub(crate) use session::SessionService;
pub(crate) use unary::UnaryService;

/// The status of a failed call.
pub(crate) fn status(error: Error) -> Status {
    wire::Error::from(error).into()
}
