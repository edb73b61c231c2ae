//! The gRPC services of a node.

mod admin;
pub(crate) mod caller;
mod forward;
mod peer;
mod session;

use synod_proto::types::v1 as wire;
use synod_types::Error;
use tonic::Status;

pub(crate) use admin::{AdminService, ask};
pub(crate) use peer::PeerService;
pub(crate) use session::SessionService;

/// The status of a failed call.
pub(crate) fn status(error: Error) -> Status {
    wire::Error::from(error).into()
}
