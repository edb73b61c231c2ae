//! Other nodes: a connection to each, over which the messages of all partitions go.
//!
//! Messages may be lost: when a connection breaks, when a queue is full. What is noticed about a connection is passed
//! on at once, because it is the first sign of a crash: a refused or broken connection makes every replica suspect the
//! members behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prost::Message as _;
use synod_proto::peer::v1::peer_client::PeerClient;
use synod_proto::peer::v1::{Frame, Hello, Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::dialer::{Dialer, reason};
use crate::metrics::Metrics;

/// The host:port of a node.
pub(crate) type Address = Arc<str>;

/// Messages that wait for a connection or for the network, for each node. Beyond, the oldest plan of the protocol
/// holds: what is lost is sent again.
const QUEUE_MESSAGES: usize = 4_096;

/// The most messages in one frame, and the size beyond which it takes no further one.
const FRAME_MESSAGES: usize = 256;
const FRAME_BYTES: usize = 1 << 20;

/// The greatest message, which is a log entry of the greatest batch with room to spare.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The most nodes that are spoken to. Beyond, messages are lost: addresses come from whoever connects.
const LINKS_MAX: usize = 1_024;

/// A node that cannot be reached is given up when nobody had anything to tell it for this long.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Messages that have waited longer than this for a connection are not worth sending any more.
const FRESH: Duration = Duration::from_millis(200);

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);

type Queues = Mutex<BTreeMap<Address, mpsc::Sender<Message>>>;

/// The connections of this node to others.
pub(crate) struct Peers {
    hello: Hello,
    pub(crate) dialer: Dialer,
    runtime: tokio::runtime::Handle,
    queues: Arc<Queues>,
    /// Told the address of every node that seems to be gone.
    lost: mpsc::UnboundedSender<Address>,
    metrics: Arc<Metrics>,
}

impl Peers {
    pub(crate) fn new(
        hello: Hello,
        dialer: Dialer,
        runtime: tokio::runtime::Handle,
        lost: mpsc::UnboundedSender<Address>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { hello, dialer, runtime, queues: Arc::default(), lost, metrics }
    }

    /// Sends a message, or loses it.
    pub(crate) fn send(&self, address: &Address, message: Message) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match queues.get(address) {
            Some(queue) => queue.try_send(message).is_ok(),
            None if queues.len() >= LINKS_MAX => false,
            None => {
                let queue = self.open(address.clone());
                let sent = queue.try_send(message).is_ok();
                queues.insert(address.clone(), queue);
                sent
            }
        };
        if !sent {
            self.metrics.peer_message_lost();
        }
    }

    fn open(&self, address: Address) -> mpsc::Sender<Message> {
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let link = Link {
            hello: self.hello.clone(),
            dialer: self.dialer.clone(),
            address,
            queues: self.queues.clone(),
            lost: self.lost.clone(),
            metrics: self.metrics.clone(),
        };
        self.runtime.spawn(link.run(messages));
        queue
    }
}

/// A client of a node for peers.
pub(crate) fn client(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Divides messages into frames that the other side takes. One of the greatest has a frame for itself.
fn in_frames(batch: Vec<Message>) -> Vec<Vec<Message>> {
    let (mut frames, mut bytes) = (vec![Vec::new()], 0);
    for message in batch {
        bytes += message.encoded_len();
        match frames.last_mut() {
            Some(frame) if frame.is_empty() || bytes <= FRAME_BYTES => frame.push(message),
            _ => {
                bytes = message.encoded_len();
                frames.push(vec![message]);
            }
        }
    }
    frames
}

struct Link {
    hello: Hello,
    dialer: Dialer,
    address: Address,
    queues: Arc<Queues>,
    lost: mpsc::UnboundedSender<Address>,
    metrics: Arc<Metrics>,
}

impl Link {
    /// Keeps a connection up for as long as there is somebody who may send over it.
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        let mut backoff = BACKOFF_MIN;
        let (mut last_wanted, mut emptied) = (Instant::now(), Instant::now());
        loop {
            match self.dialer.connect(&self.address).await {
                Ok(channel) => {
                    backoff = BACKOFF_MIN;
                    if emptied.elapsed() > FRESH {
                        while messages.try_recv().is_ok() {}
                    }
                    self.metrics.link_up();
                    let broken = self.carry(channel, &mut messages).await;
                    self.metrics.link_down();
                    if broken.is_none() {
                        return;
                    }
                    (last_wanted, emptied) = (Instant::now(), Instant::now());
                    tracing::debug!(address = %self.address, "connection to a node broken");
                }
                Err(error) => {
                    tracing::debug!(address = %self.address, error = reason(&error), "no connection to a node");
                    while messages.try_recv().is_ok() {
                        last_wanted = Instant::now();
                    }
                    emptied = Instant::now();
                }
            }
            self.metrics.link_lost();
            // Nobody listens when the node is shutting down.
            let _ = self.lost.send(self.address.clone());
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            if messages.is_closed() || (last_wanted.elapsed() > GIVE_UP && self.close(&mut messages)) {
                return;
            }
        }
    }

    /// Gives the node up, unless there is something to tell it now.
    fn close(&self, messages: &mut mpsc::Receiver<Message>) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = messages.is_empty();
        if is_idle {
            queues.remove(&self.address);
        }
        is_idle
    }

    /// Carries messages until the connection breaks. `None` when there will be no more messages.
    async fn carry(&self, channel: Channel, messages: &mut mpsc::Receiver<Message>) -> Option<()> {
        let (frames, outbound) = mpsc::channel(4);
        let hello = Frame { hello: Some(self.hello.clone()), messages: Vec::new() };
        frames.send(hello).await.ok()?;
        let mut client = client(channel);
        let Ok(response) = client.stream(ReceiverStream::new(outbound)).await else { return Some(()) };
        let mut end = response.into_inner();
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                // The other side says nothing: whatever comes, it is the end.
                _ = end.next() => return Some(()),
                received = messages.recv_many(&mut batch, FRAME_MESSAGES) => {
                    if received == 0 {
                        return None;
                    }
                    for messages in in_frames(batch) {
                        if frames.send(Frame { hello: None, messages }).await.is_err() {
                            return Some(());
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use synod_proto::peer::v1::{Entry, Raft, message};

    use super::*;

    fn message(bytes: usize) -> Message {
        let entry = Entry { data: Bytes::from(vec![0; bytes]), ..Entry::default() };
        let raft = Raft { entries: vec![entry], ..Raft::default() };
        Message { body: Some(message::Body::Raft(raft)), ..Message::default() }
    }

    #[test]
    fn no_frame_is_too_large_and_nothing_is_lost_or_reordered() {
        for sizes in [vec![10; 300], vec![700_000; 5], vec![9 << 20, 10, 9 << 20, 10, 10], vec![10, 9 << 20]]
        {
            let batch: Vec<_> = sizes.iter().map(|bytes| message(*bytes)).collect();
            let frames = in_frames(batch.clone());
            assert!(frames.iter().all(|frame| {
                let bytes: usize = frame.iter().map(Message::encoded_len).sum();
                bytes <= FRAME_BYTES || frame.len() == 1
            }));
            assert_eq!(frames.concat(), batch);
        }
    }
}
