//! Open sessions, of which a group has many while it is written to, and their keep-alives.
//!
//! They do nothing else, so they need no client of the SDK each: a stream carries thousands, as a gateway's would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Close, Hello, KeepAlive, Open, Request, reply, request};
use synod_types::ErrorCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::connect::Connection;

/// How many sessions share a stream, and how many are opened before the answers are awaited.
const SESSIONS_PER_STREAM: usize = 8_192;
const OPEN_AHEAD: usize = 1_024;

/// A session is kept alive so many times within its timeout, as the SDK does.
const KEEP_ALIVES_PER_TIMEOUT: u32 = 4;

/// In how many portions the keep-alives of a stream are sent.
const PORTIONS: usize = 100;

/// Sessions that are kept alive until this is closed.
pub(super) struct Sessions {
    tasks: JoinSet<anyhow::Result<()>>,
    streams: Vec<mpsc::Sender<ClientFrame>>,
    ids: Vec<Vec<u64>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Sessions {
    /// Opens so many in the first partition, which is to have a leader that is known.
    pub(super) async fn begin(
        connection: Option<&Connection>,
        count: usize,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut sessions = Self { tasks: JoinSet::new(), streams: Vec::new(), ids: Vec::new(), counts };
        let Some(connection) = connection.filter(|_| count > 0) else { return Ok(sessions) };
        let mut left = count;
        while left > 0 {
            let share = left.min(SESSIONS_PER_STREAM);
            let (frames, mut replies) = connect(connection).await?;
            let ids = open(&frames, &mut replies, share, timeout).await?;
            let interval = timeout / KEEP_ALIVES_PER_TIMEOUT;
            sessions.tasks.spawn(count_answers(replies, sessions.counts.clone()));
            sessions.tasks.spawn(keep_alive(frames.clone(), ids.clone(), interval));
            sessions.streams.push(frames);
            sessions.ids.push(ids);
            left -= share;
        }
        Ok(sessions)
    }

    /// How many keep-alives were answered, and how many refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.counts.answered.load(Ordering::Relaxed), self.counts.refused.load(Ordering::Relaxed))
    }

    /// Closes them all; those that cannot be told expire.
    pub(super) async fn close(mut self) {
        self.tasks.abort_all();
        for (frames, ids) in self.streams.iter().zip(&self.ids) {
            let close = |(tag, &session_id)| (tag, request::Body::Close(Close { session_id }));
            let requests = requests((0..).zip(ids).map(close));
            // A stream that broke has sessions that end by themselves.
            let _ = frames.send(ClientFrame { hello: None, requests }).await;
        }
    }
}

/// A stream to the leader of the first partition.
async fn connect(connection: &Connection) -> anyhow::Result<(mpsc::Sender<ClientFrame>, Replies)> {
    let topology = connection.group.topology();
    let partition = topology.partitions.first().context("the group has no partition")?;
    let mut endpoints = partition.leader.iter().chain(&partition.endpoints);
    let mut last = anyhow::anyhow!("the partition has no replica");
    let hello = Hello { group: topology.full_name(), partition: 0, client: "synod-bench".to_owned() };
    loop {
        let Some(endpoint) = endpoints.next() else { return Err(last) };
        let channel = match topology.trust.ca_pem() {
            Some(ca) => {
                let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
                Endpoint::from_shared(format!("https://{endpoint}"))?.tls_config(config)?.connect_lazy()
            }
            None => Endpoint::from_shared(format!("http://{endpoint}"))?.connect_lazy(),
        };
        let (frames, outbound) = mpsc::channel(4);
        // Whether it leads: a keep-alive of no session is answered by the leader alone with what is wrong with it.
        let probe = Request { tag: 0, body: Some(request::Body::KeepAlive(KeepAlive { session_id: 0 })) };
        frames.send(ClientFrame { hello: Some(hello.clone()), requests: vec![probe] }).await?;
        let stream = SessionClient::new(channel).stream(ReceiverStream::new(outbound)).await;
        let mut replies = match stream {
            Ok(response) => response.into_inner(),
            Err(status) => {
                last = anyhow::anyhow!("{endpoint}: {}", status.message());
                continue;
            }
        };
        let first = replies.message().await?.and_then(|frame| frame.replies.into_iter().next());
        match first.and_then(|reply| reply.body) {
            Some(reply::Body::Error(error))
                if synod_types::Error::from(error.clone()).code() == ErrorCode::SessionNotFound =>
            {
                return Ok((frames, replies));
            }
            _ => last = anyhow::anyhow!("{endpoint} does not lead"),
        }
    }
}

type Replies = Streaming<synod_proto::session::v1::ServerFrame>;

fn requests(bodies: impl Iterator<Item = (u64, request::Body)>) -> Vec<Request> {
    bodies.map(|(tag, body)| Request { tag, body: Some(body) }).collect()
}

async fn open(
    frames: &mpsc::Sender<ClientFrame>,
    replies: &mut Replies,
    count: usize,
    timeout: Duration,
) -> anyhow::Result<Vec<u64>> {
    let timeout_ms = u64::try_from(timeout.as_millis())?;
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let portion = (count - ids.len()).min(OPEN_AHEAD);
        let open = |tag| (tag, request::Body::Open(Open { timeout_ms, client: "synod-bench".to_owned() }));
        let requests = requests((0..u64::try_from(portion)?).map(open));
        frames.send(ClientFrame { hello: None, requests }).await?;
        let wanted = ids.len() + portion;
        while ids.len() < wanted {
            let frame = replies.message().await?.context("the stream ended while sessions were opened")?;
            for reply in frame.replies {
                match reply.body {
                    Some(reply::Body::Opened(opened)) => ids.push(opened.session_id),
                    Some(reply::Body::Error(error)) => bail!("a session cannot be opened: {}", error.message),
                    _ => bail!("a session was opened, but has no id"),
                }
            }
        }
    }
    Ok(ids)
}

async fn count_answers(mut replies: Replies, counts: Arc<Counts>) -> anyhow::Result<()> {
    while let Some(frame) = replies.next().await.transpose()? {
        for reply in frame.replies {
            let is_refused = matches!(reply.body, Some(reply::Body::Error(_)));
            let count = if is_refused { &counts.refused } else { &counts.answered };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sends the keep-alives of a stream, spread evenly over the interval.
async fn keep_alive(
    frames: mpsc::Sender<ClientFrame>,
    ids: Vec<u64>,
    interval: Duration,
) -> anyhow::Result<()> {
    let portion = ids.len().div_ceil(PORTIONS).max(1);
    let mut ticks = tokio::time::interval(interval / u32::try_from(ids.len().div_ceil(portion).max(1))?);
    let mut portions = ids.chunks(portion).cycle();
    loop {
        ticks.tick().await;
        let Some(portion) = portions.next() else { return Ok(()) };
        let keep = |(tag, &session_id)| (tag, request::Body::KeepAlive(KeepAlive { session_id }));
        let requests = requests((0..).zip(portion).map(keep));
        frames.send(ClientFrame { hello: None, requests }).await?;
    }
}
