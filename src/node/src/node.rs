//! The node as a whole: it listens, serves, and goes down in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use synod_proto::admin::v1::admin_server::AdminServer;
use synod_proto::peer::v1::Hello;
use synod_proto::peer::v1::peer_server::PeerServer;
use synod_proto::session::v1::session_server::SessionServer;
use synod_protocol::Role;
use synod_replica::Admin as Command;
use synod_storage::disk::{DirLock, Disk, RealDisk};
use synod_types::{Error, ErrorCode};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::config::{Config, ListenError};
use crate::host::{Host, Standing};
use crate::metrics::Metrics;
use crate::peers::{MESSAGE_BYTES_MAX, Peers};
use crate::service::{AdminService, PeerService, SessionService, ask};

/// The greatest frame of a client: a greatest request with room for what comes with it in one frame.
const FRAME_BYTES_MAX: usize = 8 << 20;

/// How long a node that goes down waits for others to take over what it leads.
const HAND_OVER: Duration = Duration::from_secs(5);

/// How long a node that goes down lets calls finish.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data directory cannot be used.
    #[error("cannot use the data directory \"{dir}\"")]
    Data {
        /// Which.
        dir: String,
        /// Why not.
        #[source]
        source: Error,
    },
}

/// A node that runs. Dropping it without [`Node::stop`] is like a crash: nothing is lost, but nobody takes over
/// before the others have noticed.
pub struct Node {
    host: Arc<Host>,
    client_address: SocketAddr,
    peer_address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    shutdown: watch::Sender<bool>,
    servers: JoinSet<()>,
    _lock: Box<dyn DirLock>,
}

impl Node {
    /// Starts a node on the current tokio runtime, with every replica that lives in its data directory.
    ///
    /// # Errors
    /// [`StartError`]; a replica that cannot start is none: it shows in the status as failed.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let data = |error: synod_storage::disk::DiskError| StartError::Data {
            dir: config.data_dir.display().to_string(),
            source: Error::new(ErrorCode::Unavailable, error.to_string()),
        };
        disk.create_dir_all(&config.data_dir).map_err(data)?;
        let lock = disk.lock_dir(&config.data_dir).map_err(data)?;
        let clients = listen(config.client_listen, "clients").await?;
        let peers = listen(config.peer_listen, "other nodes").await?;
        let metrics = match config.metrics_listen {
            Some(address) => Some(listen(address, "metrics").await?),
            None => None,
        };
        let (client_address, peer_address) = (bound(&clients), bound(&peers));
        let metrics_address = metrics.as_ref().map(bound);
        let hello = Hello {
            node: config.name.clone(),
            peer_address: config.peer_address.clone().unwrap_or_else(|| peer_address.to_string()),
        };
        let (lost, mut lost_nodes) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Handle::current();
        let links = Arc::new(Peers::new(hello, runtime.clone(), lost));
        let counters = Arc::new(Metrics::new(&config.name, env!("CARGO_PKG_VERSION")));
        let host = Arc::new(Host::new(config, disk, links, counters, runtime));
        let dir = host.config().data_dir.display().to_string();
        host.start_all().map_err(|source| StartError::Data { dir, source })?;

        let (shutdown, ending) = watch::channel(false);
        let mut servers = JoinSet::new();
        serve(&mut servers, client_router(&host), clients, ending.clone());
        serve(&mut servers, peer_router(&host, ending.clone()), peers, ending.clone());
        if let Some(metrics) = metrics {
            servers.spawn(crate::http::serve(host.clone(), metrics, ending));
        }
        let told = host.clone();
        servers.spawn(async move {
            while let Some(address) = lost_nodes.recv().await {
                told.peer_lost(&address);
            }
        });
        tracing::info!(node = host.config().name, clients = %client_address, peers = %peer_address, "node started");
        Ok(Self { host, client_address, peer_address, metrics_address, shutdown, servers, _lock: lock })
    }

    /// Where clients are served.
    pub const fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    /// Where other nodes are served.
    pub const fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Where metrics and health are served.
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Goes down in order: hands over what it leads, finishes what is under way, closes the logs. Takes at most some
    /// seconds.
    pub async fn stop(mut self) {
        self.hand_over().await;
        // The servers may have gone already.
        let _ = self.shutdown.send(true);
        let host = self.host.clone();
        // Streams of clients end when their replica is gone; only then can the servers drain.
        if tokio::task::spawn_blocking(move || host.stop()).await.is_err() {
            tracing::error!("a replica did not stop in order");
        }
        let drained = async { while self.servers.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            self.servers.shutdown().await;
        }
        tracing::info!(node = self.host.config().name, "node stopped");
    }

    /// Makes others lead what this node leads.
    async fn hand_over(&self) {
        let mut transfers = JoinSet::new();
        for slot in self.host.slots() {
            let Standing::Running(running) = slot.standing() else { continue };
            if running.glance().borrow().standing.role != Role::Leader {
                continue;
            }
            transfers.spawn(async move {
                match ask(&running, Command::Transfer(None)).await {
                    Ok(member) => tracing::info!(replica = slot.name(), member, "leadership handed over"),
                    Err(error) => tracing::warn!(replica = slot.name(), %error, "leadership not handed over"),
                }
            });
        }
        let all = async { while transfers.join_next().await.is_some() {} };
        if timeout(HAND_OVER, all).await.is_err() {
            tracing::warn!("leadership was not handed over in time");
        }
    }
}

async fn listen(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, purpose, source })
}

fn bound(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

fn server() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4_096)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
}

fn client_router(host: &Arc<Host>) -> Router {
    let session =
        SessionServer::new(SessionService { host: host.clone() }).max_decoding_message_size(FRAME_BYTES_MAX);
    let admin = AdminServer::new(AdminService { host: host.clone() });
    server().add_service(session).add_service(admin)
}

fn peer_router(host: &Arc<Host>, ending: watch::Receiver<bool>) -> Router {
    let peer = PeerServer::new(PeerService { host: host.clone(), ending })
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    server().add_service(peer)
}

fn serve(
    servers: &mut JoinSet<()>,
    router: Router,
    listener: TcpListener,
    mut ending: watch::Receiver<bool>,
) {
    let end = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    servers.spawn(async move {
        let incoming = TcpListenerStream::new(listener);
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, end).await {
            tracing::error!(%error, "a server stopped");
        }
    });
}
