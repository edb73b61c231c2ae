//! Passing a request on to the leader, over a session stream of its own.

use std::time::Duration;

use futures::StreamExt as _;
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Hello, Reply, Request, request};
use synod_types::{Error, ErrorCode};
use tonic::transport::Endpoint;

/// Sends one request to a replica on another node and returns its answer.
///
/// # Errors
/// [`ErrorCode::NotLeader`] when the node cannot be reached, because nothing was sent; an ambiguous
/// [`ErrorCode::Unavailable`] when the connection broke before the answer.
pub(crate) async fn forward(
    address: &str,
    group: &str,
    partition: u32,
    body: request::Body,
) -> Result<Reply, Error> {
    let unreachable = |error: tonic::transport::Error| {
        Error::new(ErrorCode::NotLeader, format!("the leader at {address} cannot be reached: {error}"))
    };
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(unreachable)?
        .connect_timeout(Duration::from_secs(1))
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(unreachable)?;
    let hello = Hello { group: group.to_owned(), partition, client: "forwarded".to_owned() };
    let frame = ClientFrame { hello: Some(hello), requests: vec![Request { tag: 1, body: Some(body) }] };
    let frames = futures::stream::once(async { frame }).chain(futures::stream::pending());
    let broken =
        |why: &str| Error::ambiguous(ErrorCode::Unavailable, format!("no answer from the leader: {why}"));
    let mut client = SessionClient::new(channel);
    let response = client.stream(frames).await.map_err(|status| broken(status.message()))?;
    let mut answers = response.into_inner();
    while let Some(frame) = answers.next().await {
        let mut frame = frame.map_err(|status| broken(status.message()))?;
        if let Some(reply) = frame.replies.pop() {
            return Ok(reply);
        }
    }
    Err(broken("the stream ended"))
}
