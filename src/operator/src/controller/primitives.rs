//! The primitives of a group, through the leaders of its partitions.
//!
//! Every request here may be sent again, so it is, until its answer is certain or there is no more time.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::try_join_all;
use prost::Message as _;
use prost::bytes::Bytes;
use synod_proto::controller::v1::{Group, Primitive};
use synod_proto::primitive::v1::command::Operation as Write;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_proto::primitive::v1::{
    Command, Create, CreateResponse, Delete, DeleteResponse, Describe, DescribeResponse, Description,
    Query as PrimitiveQuery,
};
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Consistency, Hello, Propose, Query, Request, reply, request};
use synod_proto::types::v1 as wire;
use synod_types::{Error, ErrorCode, PartitionId, PrimitiveId, PrimitiveKind, Slot, SlotTable};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::catalog::{GroupKey, Groups};
use crate::channel::{Trust, endpoint};

/// How long a request is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// What names a primitive within a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimitiveKey {
    /// The application that it belongs to.
    pub application: String,
    /// What it is.
    pub kind: PrimitiveKind,
    /// The name under which programs know it.
    pub name: String,
}

impl From<&synod_api::Primitive> for PrimitiveKey {
    fn from(primitive: &synod_api::Primitive) -> Self {
        Self {
            application: primitive.spec.application.clone(),
            kind: primitive.spec.kind.into(),
            name: primitive.primitive_name().to_owned(),
        }
    }
}

impl PrimitiveKey {
    fn id(&self) -> u64 {
        PrimitiveId::of(&self.application, self.kind, &self.name).get()
    }
}

/// Makes a primitive exist, on every partition that may hold a part of it. Nothing happens if it exists already.
/// Returns the partitions. Cancelled or failed, it may exist on some of them; doing it again completes it.
///
/// # Errors
/// [`ErrorCode::NotFound`] without the group, [`ErrorCode::Forbidden`] when the name belongs to another kind,
/// [`ErrorCode::Invalid`] for a name that is not allowed, and what keeps a partition from answering.
pub async fn create_primitive(
    groups: watch::Receiver<Groups>,
    group: &GroupKey,
    primitive: &PrimitiveKey,
) -> Result<Vec<u32>, Error> {
    let caller = Caller::new(groups, group)?;
    let create = Write::Create(Create {
        application: primitive.application.clone(),
        kind: primitive.kind.number(),
        name: primitive.name.clone(),
    });
    let (home, others) = caller.places(primitive)?;
    let create_on = |partition| caller.write::<CreateResponse>(partition, primitive, create.clone());
    create_on(home).await?;
    try_join_all(others.iter().map(|partition| create_on(*partition))).await?;
    let mut partitions: Vec<_> = others.into_iter().chain([home]).map(PartitionId::get).collect();
    partitions.sort_unstable();
    Ok(partitions)
}

/// Deletes a primitive with all that it holds. Cancelled or failed, it may be gone from some partitions; doing it again
/// completes it.
///
/// # Errors
/// [`ErrorCode::NotFound`] without the group or the primitive, and what keeps a partition from answering.
pub async fn delete_primitive(
    groups: watch::Receiver<Groups>,
    group: &GroupKey,
    primitive: &PrimitiveKey,
) -> Result<(), Error> {
    let caller = Caller::new(groups, group)?;
    let (home, others) = caller.places(primitive)?;
    let found = caller.describe(&primitive.application).await?;
    if !found.iter().any(|(_, description)| is(description, primitive)) {
        let message = format!(
            "no {} \"{}\" in application \"{}\"",
            primitive.kind, primitive.name, primitive.application
        );
        return Err(Error::new(ErrorCode::NotFound, message));
    }
    let delete_on =
        |partition| caller.write::<DeleteResponse>(partition, primitive, Write::Delete(Delete {}));
    try_join_all(others.iter().map(|partition| delete_on(*partition))).await?;
    delete_on(home).await.map(drop)
}

/// The primitives of an application, or of all, in the order of application and name.
pub(super) async fn list_primitives(
    groups: watch::Receiver<Groups>,
    group: &GroupKey,
    application: &str,
) -> Result<Vec<Primitive>, Error> {
    let caller = Caller::new(groups, group)?;
    let mut found: Vec<Primitive> = Vec::new();
    let mut descriptions = caller.describe(application).await?;
    descriptions.sort_by(|(a_partition, a), (b_partition, b)| {
        let order = |it: &Description| (it.application.clone(), it.name.clone(), it.kind);
        order(a).cmp(&order(b)).then(a_partition.cmp(b_partition))
    });
    for (partition, description) in descriptions {
        let Some(kind) = PrimitiveKind::from_number(description.kind) else { continue };
        let next = Primitive {
            namespace: group.0.clone(),
            group: group.1.clone(),
            application: description.application,
            kind: kind.as_str().to_owned(),
            name: description.name,
            partitions: vec![partition.get()],
        };
        let is_same = |last: &&mut Primitive| {
            (&last.application, &last.kind, &last.name) == (&next.application, &next.kind, &next.name)
        };
        match found.last_mut().filter(is_same) {
            Some(last) => last.partitions.push(partition.get()),
            None => found.push(next),
        }
    }
    Ok(found)
}

fn is(description: &Description, primitive: &PrimitiveKey) -> bool {
    description.primitive == primitive.id()
}

/// Asks the partitions of one group.
struct Caller {
    groups: watch::Receiver<Groups>,
    key: GroupKey,
    slots: SlotTable,
}

impl Caller {
    fn new(groups: watch::Receiver<Groups>, key: &GroupKey) -> Result<Self, Error> {
        let group = group(&groups, key)?;
        let partitions = u32::try_from(group.partitions.len()).unwrap_or(u32::MAX);
        let moved = group
            .moved_slots
            .iter()
            .filter_map(|moved| Some((Slot(u16::try_from(moved.slot).ok()?), PartitionId(moved.partition))));
        let slots = SlotTable::with_moves(partitions, group.slots, moved)?;
        Ok(Self { groups, key: key.clone(), slots })
    }

    /// The partition of the name, and the others that hold a part of the primitive.
    fn places(&self, primitive: &PrimitiveKey) -> Result<(PartitionId, Vec<PartitionId>), Error> {
        let home = self.slots.partition_of(primitive.name.as_bytes());
        let all = (0..self.slots.partitions()).map(PartitionId);
        let others = all.filter(|partition| primitive.kind.is_keyed() && *partition != home);
        Ok((home, others.collect()))
    }

    async fn write<T: prost::Message + Default>(
        &self,
        partition: PartitionId,
        primitive: &PrimitiveKey,
        operation: Write,
    ) -> Result<T, Error> {
        let command = Command { primitive: primitive.id(), operation: Some(operation) };
        let propose = Propose { command: command.encode_to_vec().into(), ..Propose::default() };
        decoded(self.call(partition, request::Body::Propose(propose)).await?)
    }

    /// What exists on which partition.
    async fn describe(&self, application: &str) -> Result<Vec<(PartitionId, Description)>, Error> {
        let describe = Describe { application: application.to_owned() };
        let query = PrimitiveQuery { primitive: 0, operation: Some(Read::Describe(describe)) };
        let query: Bytes = query.encode_to_vec().into();
        let on_each = (0..self.slots.partitions()).map(PartitionId).map(|partition| {
            let consistency = Consistency::Linearizable as i32;
            let body = Query { consistency, seen_index: 0, query: query.clone() };
            async move {
                let answer = self.call(partition, request::Body::Query(body)).await?;
                let response: DescribeResponse = decoded(answer)?;
                Ok::<_, Error>(response.primitives.into_iter().map(move |found| (partition, found)))
            }
        });
        Ok(try_join_all(on_each).await?.into_iter().flatten().collect())
    }

    /// Asks the leader of a partition, whoever that is, until there is an answer or no more time.
    async fn call(&self, partition: PartitionId, body: request::Body) -> Result<Bytes, Error> {
        let give_up_at = Instant::now() + PATIENCE;
        let mut hint = None;
        loop {
            let error = match hint.take().map_or_else(|| self.leader_of(partition), Ok) {
                Ok(address) => {
                    let trust = self.trust()?;
                    let asked = ask(&address, trust.as_ref(), &self.key, partition, body.clone());
                    match timeout_at(give_up_at, asked).await {
                        Ok(Ok(answer)) => return Ok(answer),
                        Ok(Err(refused)) => {
                            hint = refused.leader.map(|leader| leader.client_address);
                            hint = hint.filter(|address| !address.is_empty());
                            Error::from(wire::Error { leader: None, ..refused })
                        }
                        Err(_) => Error::ambiguous(ErrorCode::Timeout, "no answer in time"),
                    }
                }
                Err(error) => error,
            };
            if !error.is_retryable() || Instant::now() + PAUSE >= give_up_at {
                return Err(error.within(format!("partition {partition} of {}/{}", self.key.0, self.key.1)));
            }
            sleep(PAUSE).await;
        }
    }

    /// Whom to believe to be a replica; nobody in particular, where nothing is encrypted.
    fn trust(&self) -> Result<Option<Trust>, Error> {
        let ca_pem = group(&self.groups, &self.key)?.ca_pem.clone();
        Ok(Some(ca_pem).filter(|pem| !pem.is_empty()).map(|ca_pem| Trust { ca_pem, host: None }))
    }

    fn leader_of(&self, partition: PartitionId) -> Result<String, Error> {
        let group = group(&self.groups, &self.key)?;
        let of_partition = group.partitions.iter().find(|candidate| candidate.id == partition.get());
        let leader = of_partition.and_then(|found| {
            found.members.iter().find(|member| member.id == found.leader && member.id != 0)
        });
        leader.map(|member| member.endpoint.clone()).ok_or_else(|| {
            let why = if group.message.is_empty() { "try again" } else { &group.message };
            Error::new(ErrorCode::Unavailable, format!("nobody leads: {why}"))
        })
    }
}

fn group(groups: &watch::Receiver<Groups>, key: &GroupKey) -> Result<std::sync::Arc<Group>, Error> {
    groups.borrow().get(key).cloned().ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("there is no group \"{}\" in namespace \"{}\"", key.1, key.0))
    })
}

fn decoded<T: prost::Message + Default>(answer: Bytes) -> Result<T, Error> {
    T::decode(answer)
        .map_err(|error| Error::new(ErrorCode::Internal, format!("the answer cannot be read: {error}")))
}

/// Sends one request to a node and returns its answer.
async fn ask(
    address: &str,
    trust: Option<&Trust>,
    group: &GroupKey,
    partition: PartitionId,
    body: request::Body,
) -> Result<Bytes, wire::Error> {
    let unavailable = |why: &dyn std::fmt::Display| {
        wire::Error::from(Error::ambiguous(
            ErrorCode::Unavailable,
            format!("{address} does not answer: {why}"),
        ))
    };
    let endpoint = endpoint(address, trust).map_err(|error| unavailable(&error))?;
    let channel = endpoint.connect().await.map_err(|error| unavailable(&error))?;
    let hello = Hello {
        group: format!("{}/{}", group.0, group.1),
        partition: partition.get(),
        client: "controller".to_owned(),
    };
    let frame = ClientFrame { hello: Some(hello), requests: vec![Request { tag: 1, body: Some(body) }] };
    // The stream ends with this call, however that ends: one that stayed open would keep its connection for ever.
    let (_until_done, done) = oneshot::channel::<()>();
    let no_more = futures::stream::once(done).filter_map(|_| futures::future::ready(None));
    let frames = futures::stream::once(async { frame }).chain(no_more);
    let mut client = SessionClient::new(channel);
    let answers = client.stream(frames).await.map_err(|status| wire::Error::from_status(&status))?;
    let mut answers = answers.into_inner();
    while let Some(frame) = answers.next().await {
        let mut frame = frame.map_err(|status| wire::Error::from_status(&status))?;
        match frame.replies.pop().map(|reply| reply.body) {
            None => {}
            Some(Some(reply::Body::Result(result))) => return Ok(result),
            Some(Some(reply::Body::Error(error))) => return Err(error),
            Some(_) => return Err(unavailable(&"the answer is of another kind")),
        }
    }
    Err(unavailable(&"the stream ended"))
}
