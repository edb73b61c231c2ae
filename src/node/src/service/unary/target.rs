//! The primitive that a call is about, and the partition that it goes to.

use std::sync::Arc;

use prost::Message as _;
use synod_proto::primitive::v1::{
    Command, Create, Describe, DescribeResponse, PrimitiveReference, Query, command, query,
};
use synod_proto::session::v1::{Consistency, Propose, Query as SessionQuery, Reply, reply, request};
use synod_proto::types::v1::Error as WireError;
use synod_types::{
    Application, Error, ErrorCode, PartitionId, PrimitiveId, PrimitiveKind, PrimitiveName, SlotTable,
};
use tonic::Request;

use super::{Addressed, Place, Ticket, is_unknown};
use crate::host::Host;
use crate::service::caller::{Caller, Repeat};

/// The primitive that a call is about, and the partition that it goes to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) caller: Caller,
    pub(crate) primitive: PrimitiveId,
    pub(crate) partition: u32,
    /// The partition of the name, which sees to it that no other kind uses it.
    home: u32,
    kind: PrimitiveKind,
    application: Application,
    name: PrimitiveName,
    existing: bool,
}

impl Target {
    /// Finds the target of a request, whose reference it takes out.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for names and partitions that cannot be; [`ErrorCode::NotFound`] for a group, and
    /// [`ErrorCode::WrongPartition`] for a partition that this node does not host; as [`Caller::new`].
    pub(crate) fn of<R: Addressed>(host: &Arc<Host>, request: Request<R>) -> Result<(Self, R), Error> {
        let (metadata, _, mut message) = request.into_parts();
        let PrimitiveReference { group, application, name, existing } = message.take_reference();
        let application =
            if application.is_empty() { Application::default() } else { Application::new(application)? };
        let name = PrimitiveName::new(name)?;
        let caller = Caller::new(host, &group, &metadata)?;
        let slots = host.placement(caller.group())?;
        let home = slots.partition_of(name.as_str().as_bytes()).get();
        let partition = match message.place() {
            Place::Name => home,
            Place::Key(key) => slots.partition_of(key.as_bytes()).get(),
            Place::Partition(partition) => check_partition(&slots, partition)?,
        };
        host.running(caller.group(), partition)?;
        let primitive = PrimitiveId::of(application.as_str(), R::KIND, name.as_str());
        Ok((Self { caller, primitive, partition, home, kind: R::KIND, application, name, existing }, message))
    }

    /// Names it among all.
    pub(crate) fn key(&self) -> (String, u32, u64) {
        (self.caller.group().to_owned(), self.partition, self.primitive.get())
    }

    /// Whether this error means that the primitive is to be created.
    pub(crate) fn may_create(&self, error: &WireError) -> bool {
        !self.existing && is_unknown(error)
    }

    /// Makes the primitive exist. The partition of the name is asked first if this node hosts it, so that one name does
    /// not become two kinds; if it does not, the id still keeps the two apart.
    pub(crate) async fn create(&self) -> Result<Reply, WireError> {
        if self.home != self.partition && self.caller.host().running(self.caller.group(), self.home).is_ok() {
            self.create_on(self.home).await?;
        }
        self.create_on(self.partition).await
    }

    async fn create_on(&self, partition: u32) -> Result<Reply, WireError> {
        let create = Create {
            application: self.application.as_str().to_owned(),
            kind: self.kind.number(),
            name: self.name.as_str().to_owned(),
        };
        let body = self.command(Ticket::default(), command::Operation::Create(create));
        self.caller.call(partition, body, Repeat::Freely).await
    }

    /// Makes sure that the primitive exists, creating it if it may. The answer's index is one as of which it does, and
    /// covers everything that was answered before.
    pub(crate) async fn ensure(&self) -> Result<Reply, WireError> {
        let reply = self.query(query::Operation::Describe(Describe::default())).await?;
        let found = match &reply.body {
            Some(reply::Body::Result(result)) => DescribeResponse::decode(result.clone()).ok(),
            _ => None,
        };
        match found {
            Some(response) if !response.primitives.is_empty() => Ok(reply),
            _ if self.existing => {
                let message = format!("there is no {} \"{}\"", self.kind, self.name);
                Err(Error::new(ErrorCode::UnknownPrimitive, message).into())
            }
            _ => self.create().await,
        }
    }

    /// Proposes a command. One of a session may be sent again, because it is executed once.
    pub(crate) async fn propose(
        &self,
        ticket: Ticket,
        operation: command::Operation,
    ) -> Result<Reply, WireError> {
        let repeat = if ticket.is_of_a_session() { Repeat::Freely } else { Repeat::UntilSent };
        self.caller.call(self.partition, self.command(ticket, operation), repeat).await
    }

    /// The same target for what has to be done although the caller is gone.
    pub(crate) fn for_later(&self) -> Self {
        Self { caller: self.caller.with_patience(), ..self.clone() }
    }

    /// Proposes a command that does the same whether it is executed once or twice.
    pub(crate) async fn settle(&self, operation: command::Operation) -> Result<Reply, WireError> {
        let body = self.command(Ticket::default(), operation);
        self.caller.call(self.partition, body, Repeat::Freely).await
    }

    fn command(&self, ticket: Ticket, operation: command::Operation) -> request::Body {
        let command = Command { primitive: self.primitive.get(), operation: Some(operation) };
        let Ticket { session, sequence, acknowledged } = ticket;
        let command = command.encode_to_vec().into();
        request::Body::Propose(Propose { session_id: session, sequence, acknowledged, command })
    }

    /// Asks the leader.
    pub(crate) async fn query(&self, operation: query::Operation) -> Result<Reply, WireError> {
        let query = Query { primitive: self.primitive.get(), operation: Some(operation) };
        let body = request::Body::Query(SessionQuery {
            consistency: Consistency::Linearizable.into(),
            seen_index: 0,
            query: query.encode_to_vec().into(),
        });
        self.caller.call(self.partition, body, Repeat::Freely).await
    }
}

fn check_partition(slots: &SlotTable, partition: u32) -> Result<u32, Error> {
    let partitions = slots.partitions();
    if partition < partitions {
        return Ok(partition);
    }
    let (partition, last) = (PartitionId(partition), partitions.saturating_sub(1));
    Err(Error::new(ErrorCode::Invalid, format!("there is no partition {partition}: use 0 to {last}")))
}
