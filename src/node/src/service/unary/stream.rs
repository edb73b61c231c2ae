//! Calls with many answers: listings and watches. The replica on this node serves them, after it has caught up with
//! what the leader had when the call came.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message;
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{Event as Change, Scan, scan};
use synod_proto::session::v1::{
    Consistency, Delivery, Reply, Scan as SessionScan, Watch, Watching, reply, request, watch,
};
use synod_types::{Error, ErrorCode};
use tokio::time::timeout_at;
use tonic::{Request, Response, Status};

use super::target::Target;
use super::{Addressed, UnaryService, decode};
use crate::outbox::Outgoing;
use crate::service::caller::Call;
use crate::service::status;

/// The answers of a call.
pub(crate) type Answers<A> = BoxStream<'static, Result<A, Status>>;

/// Makes an answer of a watch: position, index, and the event if there is one.
type Make<A> = fn(u64, u64, Option<Event>) -> A;

/// The event of a kind, if it is of that kind.
macro_rules! event_of {
    ($event:expr, $kind:ident) => {
        $event.and_then(|event| match event {
            Event::$kind(event) => Some(event),
            _ => None,
        })
    };
}
pub(crate) use event_of;

/// Which events are wanted.
pub(crate) struct Filter(Option<watch::Filter>);

impl Filter {
    /// All.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Those of a key, or those whose keys start with a prefix.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when both are given.
    pub(crate) fn of(key: Option<&str>, prefix: Option<&str>) -> Result<Self, Error> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        match (key, prefix) {
            (Some(_), Some(_)) => {
                Err(Error::new(ErrorCode::Invalid, "a watch has one filter: give a key or a prefix"))
            }
            (Some(key), None) => Ok(Self(Some(watch::Filter::Key(bytes(key))))),
            (None, Some(prefix)) => Ok(Self(Some(watch::Filter::Prefix(bytes(prefix))))),
            (None, None) => Ok(Self(None)),
        }
    }
}

impl UnaryService {
    /// Lists items, all as of one moment that is not before the call.
    pub(super) async fn items<R: Addressed, A: Message + Default + 'static>(
        &self,
        request: Request<R>,
        wrap: fn(R) -> scan::Operation,
    ) -> Result<Response<Answers<A>>, Status> {
        let (target, message) = Target::of(&self.host, request).map_err(status)?;
        let seen_index = target.ensure().await?.index;
        let scan = Scan { primitive: target.primitive.get(), operation: Some(wrap(message)) };
        let consistency = Consistency::Sequential.into();
        let body = SessionScan { consistency, seen_index, scan: scan.encode_to_vec().into() };
        let (call, first) = begin(&target, request::Body::Scan(body)).await?;
        let state = Some((call, VecDeque::from(first.replies)));
        let chunks = futures::stream::unfold(state, |state| async {
            let (mut call, mut replies) = state?;
            let reply = loop {
                match replies.pop_front() {
                    Some(reply) => break chunk(reply),
                    None => match call.next().await {
                        Ok(outgoing) => replies.extend(outgoing.replies),
                        Err(error) => break Err(interrupted(error)),
                    },
                }
            };
            let goes_on = matches!(reply, Ok((_, false)));
            Some((reply.map(|(chunk, _)| chunk), goes_on.then_some((call, replies))))
        });
        Ok(Response::new(chunks.boxed()))
    }

    /// Watches a primitive: an acknowledgement, then every change after it, with notices of progress between.
    pub(super) async fn events<R: Addressed, A: Send + 'static>(
        &self,
        request: Request<R>,
        after_position: u64,
        filter: Filter,
        make: Make<A>,
    ) -> Result<Response<Answers<A>>, Status> {
        let (target, _) = Target::of(&self.host, request).map_err(status)?;
        let seen_index = target.ensure().await?.index;
        let (call, first) = watch(&target, after_position, filter, seen_index).await?;
        let mut ready = VecDeque::new();
        sort(first, make, &mut ready);
        let answers = futures::stream::unfold(Some((call, ready)), move |state| async move {
            let (mut call, mut ready) = state?;
            let answer = loop {
                match ready.pop_front() {
                    Some(answer) => break answer,
                    None => match call.next().await {
                        Ok(outgoing) => sort(outgoing, make, &mut ready),
                        Err(error) => break Err(interrupted(error)),
                    },
                }
            };
            let goes_on = answer.is_ok();
            Some((answer, goes_on.then_some((call, ready))))
        });
        Ok(Response::new(answers.boxed()))
    }
}

/// Begins to watch a primitive, and waits until it has begun.
pub(super) async fn watch(
    target: &Target,
    after_position: u64,
    Filter(filter): Filter,
    seen_index: u64,
) -> Result<(Call, Outgoing), Status> {
    let watch = Watch { primitive: target.primitive.get(), after_position, filter, seen_index };
    begin(target, request::Body::Watch(watch)).await
}

/// Begins a call with many answers at the replica here and waits for the first ones, which are not an error.
async fn begin(target: &Target, body: request::Body) -> Result<(Call, Outgoing), Status> {
    let mut call = target.caller.stream(target.partition, body).map_err(status)?;
    let first = timeout_at(target.caller.give_up_at(), call.next()).await.map_err(|_| {
        let message = "the replica here has not caught up in time: ask another one";
        status(Error::new(ErrorCode::Timeout, message))
    })?;
    let first = first.map_err(interrupted)?;
    match first.replies.first() {
        Some(Reply { body: Some(reply::Body::Error(error)), .. }) => Err(error.clone().into()),
        _ => Ok((call, first)),
    }
}

/// What ends a stream whose replica has stopped. It changed nothing.
pub(super) fn interrupted(error: Error) -> Status {
    status(Error::new(error.code(), error.message()))
}

/// One chunk of a listing, and whether it is the last.
fn chunk<A: Message + Default>(reply: Reply) -> Result<(A, bool), Status> {
    match reply.body {
        Some(reply::Body::Chunk(chunk)) => Ok((decode(chunk.result)?, chunk.last)),
        Some(reply::Body::Error(error)) => Err(error.into()),
        _ => Err(status(Error::new(ErrorCode::Internal, "the answer is not one to a listing"))),
    }
}

/// The answers that a turn of the replica makes: the acknowledgement, events, and what ends the watch.
fn sort<A>(outgoing: Outgoing, make: Make<A>, answers: &mut VecDeque<Result<A, Status>>) {
    let mut ends = None;
    for Reply { index, body, .. } in outgoing.replies {
        match body {
            Some(reply::Body::Watching(Watching { position })) => {
                answers.push_back(Ok(make(position, index, None)));
            }
            Some(reply::Body::Error(error)) => ends = Some(Err(error.into())),
            _ => {}
        }
    }
    for delivery in outgoing.deliveries {
        changes(delivery, |position, index, event| answers.push_back(Ok(make(position, index, event))));
    }
    answers.extend(ends);
}

/// Hands out the events of a delivery, and how far it reaches if that is beyond the last of them.
pub(super) fn changes(delivery: Delivery, mut hand_out: impl FnMut(u64, u64, Option<Event>)) {
    let mut last = 0;
    for encoded in delivery.events {
        // What cannot be decoded is of a newer version: its position is all that can be told.
        let change = Change::decode(encoded).unwrap_or_default();
        last = change.position;
        hand_out(change.position, change.index, change.event);
    }
    if delivery.position > last {
        hand_out(delivery.position, 0, None);
    }
}
