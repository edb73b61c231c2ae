//! A session stream to one replica.

use std::time::Duration;

use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Hello, ServerFrame};
use synod_types::{ErrorCode, PartitionId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::connections::{CONNECT_TIMEOUT, Connections};
use crate::error::{Error, Result};
use crate::trust::Trust;

/// Frames that may wait for the connection. With few, requests gather in the pipeline and leave in greater frames.
const FRAMES: usize = 2;

/// How long a node that was reached may take to open the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// A stream that is open.
#[derive(Debug)]
pub(crate) struct ReplicaStream {
    pub(crate) address: String,
    pub(crate) outbound: mpsc::Sender<ClientFrame>,
    inbound: Box<Streaming<ServerFrame>>,
}

/// Which partition a stream serves, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// `namespace/name`.
    pub(crate) group: String,
    pub(crate) partition: PartitionId,
    pub(crate) client: String,
}

impl ReplicaStream {
    /// Opens a stream to the replica at an address.
    pub(crate) async fn open(
        connections: &Connections,
        address: String,
        trust: &Trust,
        purpose: Purpose,
    ) -> Result<Self> {
        let (outbound, frames) = mpsc::channel(FRAMES);
        let Purpose { group, partition, client } = purpose;
        let hello = Hello { group, partition: partition.get(), client };
        // The channel is empty, so there is room.
        let _ = outbound.try_send(ClientFrame { hello: Some(hello), requests: Vec::new() });
        // What a frame holds is bounded by what was asked for.
        let mut client =
            SessionClient::new(connections.to(&address, trust)?).max_decoding_message_size(usize::MAX);
        let opened =
            timeout(CONNECT_TIMEOUT + OPEN_TIMEOUT, client.stream(ReceiverStream::new(frames))).await;
        let at = |error: Error| error.within(format!("the replica at {address}"));
        match opened {
            Ok(Ok(response)) => Ok(Self { address, outbound, inbound: Box::new(response.into_inner()) }),
            Ok(Err(status)) => {
                connections.forget(&address);
                Err(at(Error::from_status(&status)))
            }
            Err(_) => {
                connections.forget(&address);
                Err(at(Error::new(ErrorCode::Unavailable, "no answer in time")))
            }
        }
    }

    /// The next frame from the server. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the stream is over, for whatever reason.
    pub(crate) async fn receive(&mut self) -> Result<ServerFrame> {
        let why = match self.inbound.message().await {
            Ok(Some(frame)) => return Ok(frame),
            Ok(None) => Error::new(ErrorCode::Unavailable, "the stream ended"),
            Err(status) => Error::from_status(&status),
        };
        Err(why.within(format!("the replica at {}", self.address)))
    }
}
