//! Calls for people and for programs in other languages: one call for each operation of each kind.
//!
//! Any node that hosts a replica of the partition takes a call; the leader answers it. A call finds its partition by the
//! key of the request, by its field `partition`, or by the name of the primitive, which is created by its first use
//! unless the caller says that it exists. The request of a call is the command that goes through the log, without the
//! reference to the primitive.
//!
//! With the metadata `synod-session` and `synod-sequence` a write is one of a session: it is executed once, however
//! often it is sent, and what it acquires is bound to the session. `synod-acknowledged` says that the answers of all
//! requests up to that one have come.

mod counter;
mod election;
mod lock;
mod map;
mod set;
mod stream;
mod target;
mod ticket;
mod value;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::{PrimitiveReference, command, query};
use synod_proto::session::v1::{Reply, reply};
use synod_proto::types::v1::Error as WireError;
use synod_types::{Error, ErrorCode, PrimitiveKind};
use tonic::{Request, Response, Status};

use self::target::Target;
use self::ticket::Ticket;
use crate::host::Host;
use crate::service::status;

/// How many primitives are remembered to exist.
const KNOWN_MAX: usize = 65_536;

/// A request that names its primitive.
pub(crate) trait Addressed: Send {
    /// The kind that it is for.
    const KIND: PrimitiveKind;

    /// Takes the name out: what remains goes into the log.
    fn take_reference(&mut self) -> PrimitiveReference;

    /// Where it goes.
    fn place(&self) -> Place<'_>;
}

/// How a request finds its partition.
pub(crate) enum Place<'a> {
    /// By the name of the primitive.
    Name,
    /// By a key.
    Key(&'a str),
    /// It says which.
    Partition(u32),
}

/// Declares requests of a kind that find their partition in one way.
macro_rules! addressed {
    ($kind:ident, |$message:ident| $place:expr, $($request:ident),+) => {$(
        impl $crate::service::unary::Addressed for $request {
            const KIND: synod_types::PrimitiveKind = synod_types::PrimitiveKind::$kind;

            fn take_reference(&mut self) -> synod_proto::primitive::v1::PrimitiveReference {
                self.primitive.take().unwrap_or_default()
            }

            fn place(&self) -> $crate::service::unary::Place<'_> {
                let $message = self;
                $place
            }
        }
    )+};
}
use addressed;

/// The services of all kinds.
#[derive(Clone)]
pub(crate) struct UnaryService {
    host: Arc<Host>,
    known: Arc<Known>,
}

impl UnaryService {
    pub(crate) fn new(host: &Arc<Host>) -> Self {
        Self { host: host.clone(), known: Arc::default() }
    }

    /// Does a write.
    async fn write<R: Addressed, A: Message + Default>(
        &self,
        request: Request<R>,
        wrap: fn(R) -> command::Operation,
    ) -> Result<Response<A>, Status> {
        let ticket = Ticket::of(request.metadata()).map_err(status)?;
        let (target, message) = Target::of(&self.host, request).map_err(status)?;
        let reply = self.write_to(&target, ticket, wrap(message)).await?;
        decode(result(reply)?).map(Response::new)
    }

    /// Does a read that sees everything that was answered before.
    async fn read<R: Addressed, A: Message + Default>(
        &self,
        request: Request<R>,
        wrap: fn(R) -> query::Operation,
    ) -> Result<Response<A>, Status> {
        let (target, message) = Target::of(&self.host, request).map_err(status)?;
        let operation = wrap(message);
        let reply = match target.query(operation.clone()).await {
            Err(error) if target.may_create(&error) => {
                target.create().await?;
                target.query(operation).await?
            }
            answered => answered?,
        };
        decode(result(reply)?).map(Response::new)
    }

    /// Sends a write to its partition. The outcome of a write of a session is kept under its sequence whatever it is,
    /// so that the primitive must be there before.
    async fn write_to(
        &self,
        target: &Target,
        ticket: Ticket,
        operation: command::Operation,
    ) -> Result<Reply, WireError> {
        if ticket.is_of_a_session() {
            self.make_sure_of(target).await?;
        }
        match target.propose(ticket, operation.clone()).await {
            Err(error) if ticket.is_of_a_session() => {
                if is_unknown(&error) {
                    self.known.forget(target);
                }
                Err(error)
            }
            Err(error) if target.may_create(&error) => {
                target.create().await?;
                target.propose(ticket, operation).await
            }
            answered => answered,
        }
    }

    async fn make_sure_of(&self, target: &Target) -> Result<(), WireError> {
        if !self.known.contains(target) {
            target.ensure().await?;
            self.known.note(target);
        }
        Ok(())
    }
}

/// Primitives that were there not long ago.
#[derive(Default)]
struct Known(Mutex<BTreeSet<(String, u32, u64)>>);

impl Known {
    fn contains(&self, target: &Target) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&target.key())
    }

    fn note(&self, target: &Target) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(target.key());
    }

    fn forget(&self, target: &Target) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&target.key());
    }
}

fn is_unknown(error: &WireError) -> bool {
    ErrorCode::from_number(error.code) == ErrorCode::UnknownPrimitive
}

/// The encoded response in an answer.
fn result(reply: Reply) -> Result<Bytes, Status> {
    match reply.body {
        Some(reply::Body::Result(result)) => Ok(result),
        Some(reply::Body::Error(error)) => Err(error.into()),
        _ => Err(status(Error::new(ErrorCode::Internal, "the answer is not one to this request"))),
    }
}

fn decode<A: Message + Default>(result: Bytes) -> Result<A, Status> {
    A::decode(result).map_err(|_| status(Error::new(ErrorCode::Internal, "the answer cannot be decoded")))
}
