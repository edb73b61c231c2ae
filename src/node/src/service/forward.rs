//! Passing requests on to leaders on other nodes: one session stream for each leader, shared by all callers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Hello, Reply, Request, ServerFrame, request};
use synod_types::{Error, ErrorCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::dialer::{Dialer, reason};

/// A stream that carried nothing for this long is closed: leaders move.
const IDLE: Duration = Duration::from_secs(60);

/// How long it may take until a leader's node has accepted a stream.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// The greatest frame of answers: many answers come in one.
const ANSWERS_BYTES_MAX: usize = 1 << 30;

/// Address, group and partition.
type Destination = (String, String, u32);

/// A stream, or the place where one will be: whoever opens it keeps the others waiting.
type Place = Arc<tokio::sync::Mutex<Option<mpsc::UnboundedSender<Asked>>>>;

/// The streams to leaders on other nodes.
pub(crate) struct Forwarder {
    dialer: Dialer,
    streams: Mutex<BTreeMap<Destination, Place>>,
}

/// A request, and where its answer goes.
struct Asked {
    body: request::Body,
    answer: oneshot::Sender<Result<Reply, Error>>,
}

impl Forwarder {
    pub(crate) const fn new(dialer: Dialer) -> Self {
        Self { dialer, streams: Mutex::new(BTreeMap::new()) }
    }

    /// Sends one request to a replica on another node and returns its answer. The other node never passes it on.
    ///
    /// # Errors
    /// A definite [`ErrorCode::NotLeader`] when nothing was sent, because the node cannot be reached; an ambiguous
    /// [`ErrorCode::Unavailable`] when the connection broke before the answer.
    pub(crate) async fn forward(
        &self,
        address: &str,
        group: &str,
        partition: u32,
        body: request::Body,
    ) -> Result<Reply, Error> {
        let destination = (address.to_owned(), group.to_owned(), partition);
        let stream = self.stream(&destination).await?;
        let (answer, answered) = oneshot::channel();
        stream.send(Asked { body, answer }).map_err(|_| unreachable(address, "the stream has ended"))?;
        answered.await.unwrap_or_else(|_| Err(broken("the stream has ended")))
    }

    async fn stream(&self, destination: &Destination) -> Result<mpsc::UnboundedSender<Asked>, Error> {
        let place = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            // A place that nobody uses, and whose stream has ended, is of no use.
            streams.retain(|_, place| Arc::strong_count(place) > 1 || is_open(place));
            streams.entry(destination.clone()).or_default().clone()
        };
        let mut stream = place.lock().await;
        if let Some(open) = stream.as_ref().filter(|stream| !stream.is_closed()) {
            return Ok(open.clone());
        }
        let opened = timeout(OPEN_PATIENCE, open(&self.dialer, destination)).await;
        let opened = opened.unwrap_or_else(|_| Err(unreachable(&destination.0, "no answer in time")))?;
        Ok(stream.insert(opened).clone())
    }
}

fn is_open(place: &Place) -> bool {
    place.try_lock().is_ok_and(|stream| stream.as_ref().is_some_and(|stream| !stream.is_closed()))
}

fn unreachable(address: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::NotLeader, format!("the leader at {address} cannot be reached: {why}"))
}

fn broken(why: &str) -> Error {
    Error::ambiguous(ErrorCode::Unavailable, format!("no answer from the leader: {why}"))
}

/// Opens a session stream; nothing has been asked on it when this fails.
async fn open(dialer: &Dialer, destination: &Destination) -> Result<mpsc::UnboundedSender<Asked>, Error> {
    let (address, group, partition) = destination;
    let channel = dialer.connect(address).await.map_err(|error| unreachable(address, reason(&error)))?;
    let hello = Hello { group: group.clone(), partition: *partition, client: "another node".to_owned() };
    let (frames, outbound) = mpsc::unbounded_channel();
    // Nobody has taken the other end yet.
    let _ = frames.send(ClientFrame { hello: Some(hello), requests: Vec::new() });
    let mut client = SessionClient::new(channel).max_decoding_message_size(ANSWERS_BYTES_MAX);
    let accepted = client.stream(UnboundedReceiverStream::new(outbound)).await;
    let answers = accepted.map_err(|status| unreachable(address, status.message()))?.into_inner();
    let (sender, asked) = mpsc::unbounded_channel();
    tokio::spawn(Stream { frames, answers, asked, waiting: BTreeMap::new(), last_tag: 0 }.run());
    Ok(sender)
}

struct Stream {
    frames: mpsc::UnboundedSender<ClientFrame>,
    answers: Streaming<ServerFrame>,
    asked: mpsc::UnboundedReceiver<Asked>,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    last_tag: u64,
}

impl Stream {
    async fn run(mut self) {
        let why = loop {
            tokio::select! {
                asked = self.asked.recv() => match asked {
                    Some(asked) => self.send(asked),
                    None => break "nobody asks any more".to_owned(),
                },
                frame = self.answers.next() => match frame {
                    Some(Ok(frame)) => self.answered(frame),
                    Some(Err(status)) => break status.message().to_owned(),
                    None => break "the stream has ended".to_owned(),
                },
                () = tokio::time::sleep(IDLE), if self.waiting.is_empty() => break "idle".to_owned(),
            }
        };
        // What was never sent may be sent again.
        self.asked.close();
        while let Ok(asked) = self.asked.try_recv() {
            let _ = asked.answer.send(Err(Error::new(ErrorCode::NotLeader, why.clone())));
        }
        for answer in self.waiting.into_values() {
            let _ = answer.send(Err(broken(&why)));
        }
    }

    fn send(&mut self, asked: Asked) {
        self.last_tag += 1;
        self.waiting.insert(self.last_tag, asked.answer);
        let request = Request { tag: self.last_tag, body: Some(asked.body) };
        // If the stream has ended, its other half says so.
        let _ = self.frames.send(ClientFrame { hello: None, requests: vec![request] });
    }

    fn answered(&mut self, frame: ServerFrame) {
        for reply in frame.replies {
            if let Some(answer) = self.waiting.remove(&reply.tag) {
                // Who asked may have given up.
                let _ = answer.send(Ok(reply));
            }
        }
    }
}
