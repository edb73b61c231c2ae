//! Listings: a stream to a replica, which is read no faster than whoever asked takes what comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use synod_proto::session::v1 as wire;
use synod_proto::session::v1::reply::Body;
use synod_proto::types::v1::LeaderHint;
use synod_types::{ErrorCode, Monotonic};

use super::Consistency;
use super::link::Surroundings;
use super::route::{Route, Target};
use super::stream::ReplicaStream;
use crate::clock;
use crate::error::{Error, Result};

/// The tag of the one request on the stream.
const TAG: u64 = 1;

/// A listing that has begun: all of it is as of one moment.
#[derive(Debug)]
pub(crate) struct Chunks {
    stream: ReplicaStream,
    seen: Arc<AtomicU64>,
    received: VecDeque<Bytes>,
    is_complete: bool,
}

impl Chunks {
    /// The next chunk, encoded; none after the last. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the replica is lost on the way: begin again.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(chunk) = self.received.pop_front() {
                return Ok(Some(chunk));
            }
            if self.is_complete {
                return Ok(None);
            }
            self.receive().await.map_err(Failed::into_error)?;
        }
    }

    async fn receive(&mut self) -> Result<(), Failed> {
        let broken = |error| Failed::Broken(definite(error));
        let frame = self.stream.receive().await.map_err(broken)?;
        for reply in frame.replies {
            self.seen.fetch_max(reply.index, Ordering::AcqRel);
            match reply.body {
                Some(Body::Chunk(chunk)) => {
                    self.received.push_back(chunk.result);
                    self.is_complete |= chunk.last;
                }
                Some(Body::Error(error)) if ErrorCode::from_number(error.code) == ErrorCode::NotLeader => {
                    return Err(Failed::Redirected(error.leader));
                }
                Some(Body::Error(error)) => return Err(broken(error.into())),
                _ => return Err(broken(Error::new(ErrorCode::Internal, "the answer is not understood"))),
            }
        }
        Ok(())
    }
}

/// Why a replica does not serve the listing.
enum Failed {
    Redirected(Option<LeaderHint>),
    Broken(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        match self {
            Self::Redirected(_) => Error::new(ErrorCode::Unavailable, "the leader has changed"),
            Self::Broken(error) => error,
        }
    }
}

/// Finds a replica that serves the listing.
pub(super) async fn begin(
    surroundings: &Surroundings,
    scan: Bytes,
    consistency: Consistency,
    deadline: Monotonic,
) -> Result<Chunks> {
    let target = match consistency {
        Consistency::Linearizable => Target::Leader,
        Consistency::Sequential => Target::Replica(0),
    };
    let mut route = Route::new(target, clock::random());
    route.told(surroundings.leader.get());
    loop {
        let partition = surroundings.topology.borrow().partition(surroundings.purpose.partition);
        let address = route.next(&partition).unwrap_or_default();
        let attempt = attempt(surroundings, address.clone(), scan.clone(), consistency);
        let left = deadline.since(clock::now());
        let failed = match tokio::time::timeout(left, attempt).await {
            Ok(Ok(chunks)) => return Ok(chunks),
            Ok(Err(failed)) => failed,
            Err(_) => return Err(Error::new(ErrorCode::Timeout, "no answer in time")),
        };
        let wait = match &failed {
            Failed::Redirected(leader) => route.redirected(&address, leader.clone()),
            Failed::Broken(error) if error.is_retryable() => route.failed(&address),
            Failed::Broken(error) => return Err(error.clone()),
        };
        if clock::now() + wait >= deadline {
            let message = format!("no answer in time: {}", failed.into_error());
            return Err(Error::new(ErrorCode::Timeout, message));
        }
        tokio::time::sleep(wait).await;
    }
}

async fn attempt(
    surroundings: &Surroundings,
    address: String,
    scan: Bytes,
    consistency: Consistency,
) -> Result<Chunks, Failed> {
    let Surroundings { purpose, connections, topology, seen, .. } = surroundings.clone();
    let trust = topology.borrow().trust.clone();
    let broken = |error| Failed::Broken(definite(error));
    let stream = ReplicaStream::open(&connections, address, &trust, purpose).await.map_err(broken)?;
    let consistency = wire::Consistency::from(consistency) as i32;
    let scan = wire::Scan { consistency, seen_index: seen.load(Ordering::Acquire), scan };
    let requests = vec![wire::Request { tag: TAG, body: Some(wire::request::Body::Scan(scan)) }];
    // The stream holds two frames, and this is the second.
    let _ = stream.outbound.try_send(wire::ClientFrame { hello: None, requests });
    let mut chunks = Chunks { stream, seen, received: VecDeque::new(), is_complete: false };
    chunks.receive().await?;
    Ok(chunks)
}

/// A read that fails has changed nothing.
fn definite(error: Error) -> Error {
    Error::new(error.code(), error.message())
}
