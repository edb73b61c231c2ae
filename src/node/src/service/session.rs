//! The session service: a stream for each client and partition, and three unary calls for those without a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt as _};
use synod_proto::session::v1::session_server::Session;
use synod_proto::session::v1::{
    ClientFrame, Close, CloseRequest, CloseResponse, Hello, KeepAlive, KeepAliveRequest, KeepAliveResponse,
    Open, OpenRequest, OpenResponse, Reply, ServerFrame, reply, request,
};
use synod_replica::{ClientId, Input, Tag};
use synod_types::{Error, ErrorCode};
use tokio::sync::Notify;
use tonic::{Request, Response, Status, Streaming};

use crate::driver::Mail;
use crate::host::Host;
use crate::outbox::{Outbox, Outgoing, Outlet, WeakOutbox, outbox};
use crate::service::caller::{Caller, Repeat};
use crate::service::status;
use crate::slot::Running;

/// How many requests of one stream may be unanswered. Beyond, the stream is not read, which the client notices as
/// flow control.
const REQUESTS_IN_FLIGHT_MAX: usize = 8_192;

/// The session service of a node.
pub(crate) struct SessionService {
    pub(crate) host: Arc<Host>,
}

#[tonic::async_trait]
impl Session for SessionService {
    type StreamStream = ReplyStream;

    async fn stream(
        &self,
        request: Request<Streaming<ClientFrame>>,
    ) -> Result<Response<ReplyStream>, Status> {
        self.host.drain.admit_stream().map_err(status)?;
        let mut frames = request.into_inner();
        let first = frames.next().await.transpose()?.unwrap_or_default();
        let Some(Hello { group, partition, client }) = first.hello else {
            let message = "the first frame of a session stream must carry a hello";
            return Err(status(Error::new(ErrorCode::Invalid, message)));
        };
        let replica = self.host.running(&group, partition).map_err(status)?;
        tracing::debug!(group, partition, client, "client connected");
        let (sender, outlet) = outbox();
        let connection = Connection::new(self.host.clone(), replica, sender);
        let replies = ReplyStream::new(outlet, connection.clone());
        tokio::spawn(async move {
            connection.requests(first.requests).await;
            while let Some(Ok(frame)) = frames.next().await {
                if frame.hello.is_some() || !connection.requests(frame.requests).await {
                    break;
                }
            }
            connection.close();
        });
        Ok(Response::new(replies))
    }

    async fn open(&self, request: Request<OpenRequest>) -> Result<Response<OpenResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let OpenRequest { group, partition, timeout_ms, client } = message;
        let caller = Caller::new(&self.host, &group, &metadata).map_err(status)?;
        let body = request::Body::Open(Open { timeout_ms, client });
        match caller.call(partition, body, Repeat::UntilSent).await?.body {
            Some(reply::Body::Opened(opened)) => {
                Ok(Response::new(OpenResponse { session_id: opened.session_id }))
            }
            _ => Err(status(Error::new(ErrorCode::Internal, "the session was opened, but has no id"))),
        }
    }

    async fn keep_alive(
        &self,
        request: Request<KeepAliveRequest>,
    ) -> Result<Response<KeepAliveResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let KeepAliveRequest { group, partition, session_id } = message;
        let caller = Caller::new(&self.host, &group, &metadata).map_err(status)?;
        let body = request::Body::KeepAlive(KeepAlive { session_id });
        caller.call(partition, body, Repeat::Freely).await?;
        Ok(Response::new(KeepAliveResponse {}))
    }

    async fn close(&self, request: Request<CloseRequest>) -> Result<Response<CloseResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let CloseRequest { group, partition, session_id } = message;
        let caller = Caller::new(&self.host, &group, &metadata).map_err(status)?;
        let body = request::Body::Close(Close { session_id });
        caller.call(partition, body, Repeat::UntilSent).await?;
        Ok(Response::new(CloseResponse {}))
    }
}

/// A client's stream, seen from the requests' side.
#[derive(Clone)]
struct Connection {
    host: Arc<Host>,
    replica: Arc<Running>,
    client: ClientId,
    /// The stream ends when the replica, which has the strong one, is gone.
    outbox: WeakOutbox,
    flow: Arc<Flow>,
}

/// How many requests are unanswered, and who waits for there to be fewer.
#[derive(Default)]
struct Flow {
    unanswered: AtomicUsize,
    answered: Notify,
    closed: std::sync::atomic::AtomicBool,
}

impl Connection {
    fn new(host: Arc<Host>, replica: Arc<Running>, outbox: Outbox) -> Self {
        let (client, weak) = (host.next_client(), outbox.downgrade());
        replica.mail(Mail::Connect(client, outbox));
        Self { host, replica, client, outbox: weak, flow: Arc::default() }
    }

    /// Passes requests on. False when the stream is to end: the replica is gone, or nobody takes the answers.
    async fn requests(&self, requests: Vec<synod_proto::session::v1::Request>) -> bool {
        if requests.is_empty() {
            return true;
        }
        self.flow.unanswered.fetch_add(requests.len(), Ordering::AcqRel);
        let tags: Vec<_> = requests.iter().map(|request| request.tag).collect();
        let admitted = self.host.drain.admit_stream().and_then(|()| self.replica.ask(self.client, requests));
        if let Err(error) = admitted
            && !self.outbox.send(refusals(tags, error))
        {
            return false;
        }
        loop {
            let answered = self.flow.answered.notified();
            if self.flow.closed.load(Ordering::Acquire) {
                return false;
            }
            if self.flow.unanswered.load(Ordering::Acquire) < REQUESTS_IN_FLIGHT_MAX {
                return true;
            }
            answered.await;
        }
    }

    fn sent(&self, outgoing: &Outgoing) {
        let is_last = |body: &Option<reply::Body>| match body {
            Some(reply::Body::Chunk(chunk)) => chunk.last,
            _ => true,
        };
        let answered = outgoing.replies.iter().filter(|reply| is_last(&reply.body)).count();
        // A watch that ends is answered twice: once when it begins, once when it is lost.
        let _ = self.flow.unanswered.fetch_update(Ordering::AcqRel, Ordering::Acquire, |unanswered| {
            Some(unanswered.saturating_sub(answered))
        });
        self.flow.answered.notify_waiters();
        let bytes: usize =
            outgoing.deliveries.iter().flat_map(|delivery| &delivery.events).map(|event| event.len()).sum();
        if bytes > 0 {
            self.replica.mail(Mail::Input(Input::EventsSent(self.client, bytes)));
        }
    }

    fn close(&self) {
        self.replica.mail(Mail::Disconnect(self.client));
    }
}

/// What is answered when requests cannot be passed on.
fn refusals(tags: Vec<Tag>, error: Error) -> Outgoing {
    let body = Some(reply::Body::Error(error.into()));
    let refuse = |tag| Reply { tag, index: 0, body: body.clone() };
    Outgoing { replies: tags.into_iter().map(refuse).collect(), deliveries: Vec::new() }
}

/// The answers of a client's stream. Each frame holds all that there is when the transport asks for one.
pub(crate) struct ReplyStream {
    frames: Pin<Box<dyn Stream<Item = Result<ServerFrame, Status>> + Send>>,
    connection: Connection,
}

impl ReplyStream {
    fn new(outlet: Outlet, connection: Connection) -> Self {
        let seen = connection.clone();
        let frames = futures::stream::unfold(outlet, move |mut outlet| {
            let connection = seen.clone();
            async move {
                let outgoing = outlet.take().await?;
                connection.sent(&outgoing);
                let frame = ServerFrame { replies: outgoing.replies, deliveries: outgoing.deliveries };
                Some((Ok(frame), outlet))
            }
        });
        let gone = Status::unavailable("the replica is shutting down or has stopped: go to another one");
        Self { frames: Box::pin(frames.chain(futures::stream::once(async { Err(gone) }))), connection }
    }
}

impl Stream for ReplyStream {
    type Item = Result<ServerFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.as_mut().poll_next(context)
    }
}

impl Drop for ReplyStream {
    /// The client is gone, whether or not it said so.
    fn drop(&mut self) {
        self.connection.flow.closed.store(true, Ordering::Release);
        self.connection.flow.answered.notify_waiters();
        self.connection.close();
    }
}
