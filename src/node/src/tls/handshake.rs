//! Handshakes, of connections that come in and of those that go out.
//!
//! They are bounded in time and happen beside the loop that takes connections in, so that whoever connects and says
//! nothing keeps nobody else waiting.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tonic::transport::server::Connected;

use super::{Caller, Complaints, Members, Tls};
use crate::accept::{Acceptor, Connection};
use crate::metrics::Count;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who connects to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Anybody who trusts this node.
    Clients,
    /// Members of the partitions of which this node is one.
    Nodes,
}

/// The connections to a port, without end, each ready to be served. `refused` counts those that were not let in.
pub(crate) fn serve(
    acceptor: Acceptor,
    tls: Option<Arc<Tls>>,
    side: Side,
    refused: Count,
) -> impl Stream<Item = io::Result<Served>> {
    let gate = Arc::new(Gate { tls, side, refused, complaints: Complaints::default() });
    futures::stream::unfold((acceptor, FuturesUnordered::new()), move |(mut acceptor, mut under_way)| {
        let gate = gate.clone();
        async move {
            loop {
                tokio::select! {
                    (connection, from) = acceptor.next() => under_way.push(gate.clone().admit(connection, from)),
                    Some(served) = under_way.next(), if !under_way.is_empty() => {
                        if let Some(served) = served {
                            return Some((Ok(served), (acceptor, under_way)));
                        }
                    }
                }
            }
        }
    })
}

/// What stands between a port and those who connect to it.
struct Gate {
    tls: Option<Arc<Tls>>,
    side: Side,
    refused: Count,
    complaints: Complaints,
}

impl Gate {
    async fn admit(self: Arc<Self>, connection: Connection, from: SocketAddr) -> Option<Served> {
        let Some(tls) = &self.tls else {
            return Some(Served { transport: Transport::Plain(connection), caller: Caller::Unknown });
        };
        match timeout(PATIENCE, self.secure(tls, connection)).await {
            Ok(Ok(served)) => Some(served),
            Ok(Err(error)) => self.refuse(from, &error),
            Err(_) => self.refuse(from, &"no handshake in time"),
        }
    }

    async fn secure(&self, tls: &Tls, connection: Connection) -> io::Result<Served> {
        let current = tls.current();
        let config = match self.side {
            Side::Clients => &current.for_clients,
            Side::Nodes => &current.for_nodes,
        };
        let stream = TlsAcceptor::from(config.clone()).accept(connection).await?;
        let caller = match self.side {
            Side::Clients => Caller::Unknown,
            Side::Nodes => Caller::Member(meet(current.members(), stream.get_ref().1.peer_certificates())?),
        };
        Ok(Served { transport: Transport::Secured(Box::new(stream)), caller })
    }

    fn refuse(&self, from: SocketAddr, why: &dyn std::fmt::Display) -> Option<Served> {
        self.refused.inc();
        if self.complaints.is_due() {
            tracing::warn!(%from, port = ?self.side, "connection refused: {why}");
        }
        None
    }
}

/// Who the other side is, if it is a member of a partition of which this node is one, too.
fn meet(own: &Members, chain: Option<&[CertificateDer<'_>]>) -> io::Result<Arc<Members>> {
    let other = chain.and_then(|chain| chain.first()).map(Members::of).unwrap_or_default();
    if own.meet(&other) {
        return Ok(Arc::new(other));
    }
    let problem = format!("the certificate of the other side is for {other}, and this node is {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

/// Connects to another node at `host:port`.
///
/// # Errors
/// Also when what answers there cannot show that it is a member of a partition of which this node is one.
pub(crate) async fn dial(tls: &Tls, host: &str, port: u16) -> io::Result<client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("\"{host}\" is no host")))?;
    let connected = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let current = tls.current();
        let stream = TlsConnector::from(current.outbound.clone()).connect(name, stream).await?;
        meet(current.members(), stream.get_ref().1.peer_certificates())?;
        Ok(stream)
    };
    let connected = timeout(PATIENCE, connected).await.map_err(|_| io::ErrorKind::TimedOut)?;
    connected.inspect_err(|error: &io::Error| {
        let is_refusal = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied);
        if is_refusal && tls.complaints.is_due() {
            tracing::warn!(host, port, %error, "the node there is not believed, or does not believe this one");
        }
    })
}

/// A connection that is served.
pub(crate) struct Served {
    transport: Transport,
    caller: Caller,
}

enum Transport {
    Plain(Connection),
    Secured(Box<server::TlsStream<Connection>>),
}

/// Calls a method of whatever carries the bytes.
macro_rules! carried {
    ($served:ident.$method:ident($($argument:expr),*)) => {
        match &mut $served.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Secured(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Served {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        carried!(self.poll_read(context, buffer))
    }
}

impl AsyncWrite for Served {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        carried!(self.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carried!(self.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.poll_shutdown(context))
    }
}

impl Connected for Served {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}
