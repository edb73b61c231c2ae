//! Connections as they come in: counted, bounded in number, and closed when nothing comes from the other side.
//!
//! Whoever speaks HTTP/2 is pinged by the server and answers, so a connection that stays silent is half-open, or is none
//! of ours. The number of connections leaves files to spare for the logs: nobody must be able to stop a replica by
//! connecting too often.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::metrics::Number;

/// A connection on which nothing came for this long is closed.
const SILENCE: Duration = Duration::from_secs(30);

/// How long to wait when the system has no room for another connection.
const BACKOFF: Duration = Duration::from_millis(100);

/// The files that are kept for logs, snapshots and connections of our own.
const FILES_RESERVED: u64 = 256;

/// How many files connections may take, out of what the system allows; raises that first as far as it may be raised.
pub(crate) fn room_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it cannot be raised it stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX).max(16)
}

/// The connections to a listener that serves beside the nodes, without end, and with the same bounds: so many that the
/// process keeps files to spare, and none on which nothing comes.
pub fn connections(
    listener: TcpListener,
) -> impl Stream<Item = io::Result<impl AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static>> {
    Acceptor::new(listener, room_for_connections(), Number::default()).into_stream()
}

/// Takes connections in at one port.
pub(crate) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    open: Number,
}

impl Acceptor {
    /// At most `max` at a time; the next ones wait in the system's queue. `open` counts them.
    pub(crate) fn new(listener: TcpListener, max: usize, open: Number) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))), open }
    }

    /// The next one. Cancelling this loses none.
    pub(crate) async fn next(&mut self) -> (Connection, SocketAddr) {
        loop {
            // It is never closed.
            let Ok(place) = self.places.clone().acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, from)) => return (Connection::new(stream, place, self.open.clone()), from),
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection in");
                    sleep(BACKOFF).await;
                }
            }
        }
    }

    /// The connections, without end.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        futures::stream::unfold(self, async |mut acceptor| {
            let (connection, _) = acceptor.next().await;
            Some((Ok(connection), acceptor))
        })
    }
}

impl axum::serve::Listener for Acceptor {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that came in.
pub(crate) struct Connection {
    stream: TcpStream,
    last_heard: Instant,
    silence: Pin<Box<Sleep>>,
    open: Number,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, open: Number) -> Self {
        // It is slower without; no more.
        let _ = stream.set_nodelay(true);
        open.inc();
        let now = Instant::now();
        let silence = Box::pin(sleep_until(now + SILENCE));
        Self { stream, last_heard: now, silence, open, _place: place }
    }

    /// Nothing came yet: fails when that has been so for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.silence.as_mut().poll(context).is_ready() {
            let until = self.last_heard + SILENCE;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.silence.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_silence(context),
            ready => {
                self.last_heard = Instant::now();
                ready
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
