//! Other nodes: a connection to each, over which the messages of all partitions go.
//!
//! Messages may be lost: when a connection breaks, when a queue is full. What is noticed about a connection is passed
//! on at once, because it is the first sign of a crash: a refused or broken connection makes every replica suspect the
//! members behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use synod_proto::peer::v1::peer_client::PeerClient;
use synod_proto::peer::v1::{Frame, Hello, Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// The host:port of a node.
pub(crate) type Address = Arc<str>;

/// Messages that wait for a connection or for the network, for each node. Beyond, the oldest plan of the protocol
/// holds: what is lost is sent again.
const QUEUE_MESSAGES: usize = 4_096;

/// The most messages in one frame.
const FRAME_MESSAGES: usize = 256;

/// The greatest message, which is a log entry of the greatest batch with room to spare.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);

/// The connections of this node to others.
pub(crate) struct Peers {
    hello: Hello,
    runtime: tokio::runtime::Handle,
    links: Mutex<BTreeMap<Address, mpsc::Sender<Message>>>,
    /// Told the address of every node that seems to be gone.
    lost: mpsc::UnboundedSender<Address>,
}

impl Peers {
    pub(crate) fn new(
        hello: Hello,
        runtime: tokio::runtime::Handle,
        lost: mpsc::UnboundedSender<Address>,
    ) -> Self {
        Self { hello, runtime, links: Mutex::new(BTreeMap::new()), lost }
    }

    /// Sends a message, or loses it.
    pub(crate) fn send(&self, address: &Address, message: Message) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry(address.clone()).or_insert_with(|| self.open(address.clone()));
        if link.try_send(message).is_err() {
            tracing::debug!(%address, "message to a node lost: its queue is full");
        }
    }

    fn open(&self, address: Address) -> mpsc::Sender<Message> {
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let link = Link { hello: self.hello.clone(), address, lost: self.lost.clone() };
        self.runtime.spawn(link.run(messages));
        queue
    }
}

/// A channel to a node, connected.
pub(crate) async fn connect(address: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true)
        .connect()
        .await
}

/// A client of a node for peers.
pub(crate) fn client(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

struct Link {
    hello: Hello,
    address: Address,
    lost: mpsc::UnboundedSender<Address>,
}

impl Link {
    /// Keeps a connection up for as long as there is somebody who may send over it.
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        let mut backoff = BACKOFF_MIN;
        loop {
            match connect(&self.address).await {
                Ok(channel) => {
                    backoff = BACKOFF_MIN;
                    // What waited so long is old.
                    while messages.try_recv().is_ok() {}
                    if self.carry(channel, &mut messages).await.is_none() {
                        return;
                    }
                    tracing::debug!(address = %self.address, "connection to a node broken");
                }
                Err(error) => {
                    tracing::debug!(address = %self.address, %error, "no connection to a node");
                }
            }
            // Nobody listens when the node is shutting down.
            let _ = self.lost.send(self.address.clone());
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            if messages.is_closed() {
                return;
            }
        }
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
                    if frames.send(Frame { hello: None, messages: batch }).await.is_err() {
                        return Some(());
                    }
                }
            }
        }
    }
}
