//! The service for other nodes: messages, and snapshots for members that are too far behind.

use std::sync::Arc;

use futures::StreamExt as _;
use synod_proto::peer::v1::peer_server::Peer;
use synod_proto::peer::v1::{Frame, FrameResponse, InstallSnapshotResponse, SnapshotChunk};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::host::Host;
use crate::offers;
use crate::peers::Address;
use crate::service::status;
use crate::tls::Caller;

/// The longest address: a DNS name and a port.
const ADDRESS_BYTES_MAX: usize = 255 + 6;

/// The peer service of a node.
pub(crate) struct PeerService {
    pub(crate) host: Arc<Host>,
    /// True when the node goes down: streams end, so that the others notice at once.
    pub(crate) ending: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Peer for PeerService {
    type StreamStream = futures::stream::BoxStream<'static, Result<FrameResponse, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let caller = caller(&request);
        let mut frames = request.into_inner();
        let host = self.host.clone();
        // Nothing is answered; the stream ends when the other side's does, so that either notices.
        let mut ending = self.ending.clone();
        let until_end = async move {
            let mut speaker: Option<Address> = None;
            loop {
                let frame = tokio::select! {
                    frame = frames.next() => frame,
                    _ = ending.wait_for(|ending| *ending) => None,
                };
                let Some(Ok(frame)) = frame else { return None };
                if let Some(hello) = frame.hello {
                    tracing::debug!(node = hello.node, address = hello.peer_address, "node connected");
                    speaker = Some(hello.peer_address)
                        .filter(|address| address.len() <= ADDRESS_BYTES_MAX)
                        .map(Address::from);
                }
                for message in frame.messages {
                    host.deliver(&caller, message, speaker.as_ref());
                }
            }
        };
        Ok(Response::new(futures::stream::once(until_end).filter_map(futures::future::ready).boxed()))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<InstallSnapshotResponse>, Status> {
        let caller = caller(&request);
        let mut chunks = request.into_inner();
        let first = chunks.next().await.transpose()?.unwrap_or_default();
        offers::receive(&self.host, &caller, first, chunks).await.map_err(status)?;
        Ok(Response::new(InstallSnapshotResponse {}))
    }
}

fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get().cloned().unwrap_or(Caller::Nobody)
}
