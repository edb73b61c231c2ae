//! The node as a whole: it listens, serves, and goes down in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use synod_proto::DESCRIPTORS;
use synod_proto::admin::v1::admin_server::AdminServer;
use synod_proto::counter::v1::counter_server::CounterServer;
use synod_proto::election::v1::election_server::ElectionServer;
use synod_proto::lock::v1::lock_server::LockServer;
use synod_proto::map::v1::map_server::MapServer;
use synod_proto::peer::v1::Hello;
use synod_proto::peer::v1::peer_server::PeerServer;
use synod_proto::session::v1::session_server::SessionServer;
use synod_proto::set::v1::set_server::SetServer;
use synod_proto::value::v1::value_server::ValueServer;
use synod_protocol::Role;
use synod_replica::Admin as Command;
use synod_storage::disk::{DirLock, Disk, RealDisk};
use synod_types::{Error, ErrorCode};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use crate::accept::{Acceptor, room_for_connections};
use crate::config::{Config, FRAME_BYTES_MAX, ListenError};
use crate::dialer::Dialer;
use crate::driver::Mail;
use crate::host::Host;
use crate::metrics::Metrics;
use crate::peers::{MESSAGE_BYTES_MAX, Peers};
use crate::service::{AdminService, PeerService, SessionService, UnaryService, ask, health};
use crate::slot::Standing;
use crate::tls::{self, Served, Side, Tls, TlsError};

/// The most connections of clients, of other nodes, and for metrics; fewer where the system allows fewer files.
const CLIENTS_MAX: usize = 16_384;
const NODES_MAX: usize = 4_096;
const SCRAPERS_MAX: usize = 1_024;

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
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    pub(crate) host: Arc<Host>,
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
        let tls = config.tls_dir.as_deref().map(Tls::open).transpose()?.map(Arc::new);
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
        let counters = Arc::new(Metrics::new(&config.name, env!("CARGO_PKG_VERSION")));
        let links =
            Arc::new(Peers::new(hello, Dialer::new(tls.clone()), runtime.clone(), lost, counters.clone()));
        let host = Arc::new(Host::new(config, disk, links, counters, runtime));
        let dir = host.config().data_dir.display().to_string();
        host.start_all().map_err(|source| StartError::Data { dir, source })?;

        let (shutdown, ending) = watch::channel(false);
        let mut servers = JoinSet::new();
        let room = room_for_connections();
        let accept = |listener, port, max: usize| {
            Acceptor::new(listener, max.min(room / 3), host.metrics.connections(port))
        };
        let (health, reporting) = health(host.clone()).await;
        servers.spawn(reporting);
        let routes = client_routes(&host, health);
        let incoming =
            |acceptor, side, port| tls::serve(acceptor, tls.clone(), side, host.metrics.refused(port));
        let from_clients = incoming(accept(clients, "clients", CLIENTS_MAX), Side::Clients, "clients");
        serve(&mut servers, routes, from_clients, ending.clone());
        let routes = peer_routes(&host, ending.clone());
        let from_nodes = incoming(accept(peers, "nodes", NODES_MAX), Side::Nodes, "nodes");
        serve(&mut servers, routes, from_nodes, ending.clone());
        if let Some(tls) = tls.clone() {
            servers.spawn(ended(tls.follow(), ending.clone()));
        }
        if let Some(metrics) = metrics {
            let acceptor = accept(metrics, "metrics", SCRAPERS_MAX);
            servers.spawn(crate::http::serve(host.clone(), acceptor, ending));
        }
        let told = host.clone();
        servers.spawn(async move {
            while let Some(address) = lost_nodes.recv().await {
                told.peer_lost(&address);
            }
        });
        servers.spawn(ended(host.clone().revive(), shutdown.subscribe()));
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

    /// Goes down in order: takes no new calls, hands over what it leads, finishes what is under way, closes the logs.
    /// Takes at most some seconds.
    pub async fn stop(mut self) {
        self.host.drain.hand_over();
        self.hand_over().await;
        self.host.drain.close();
        self.finish_requests().await;
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

    /// Lets every replica answer the requests that it was passed before the node closed.
    async fn finish_requests(&self) {
        for slot in self.host.slots() {
            let Standing::Running(running) = slot.standing() else { continue };
            let (answer, answered) = oneshot::channel();
            running.mail(Mail::Status(answer));
            // One that does not answer finishes nothing.
            let _ = timeout(DRAIN, answered).await;
        }
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
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4_096)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
}

fn client_routes(
    host: &Arc<Host>,
    health: HealthServer<impl tonic_health::pb::health_server::Health>,
) -> Routes {
    let session =
        SessionServer::new(SessionService { host: host.clone() }).max_decoding_message_size(FRAME_BYTES_MAX);
    let unary = UnaryService::new(host);
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(session)
        .add_service(AdminServer::new(AdminService { host: host.clone() }))
        .add_service(CounterServer::new(unary.clone()).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(ValueServer::new(unary.clone()).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(MapServer::new(unary.clone()).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(SetServer::new(unary.clone()).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(LockServer::new(unary.clone()).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(ElectionServer::new(unary).max_decoding_message_size(FRAME_BYTES_MAX))
        .add_service(health);
    let reflection = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => drop(routes.add_service(v1).add_service(v1alpha)),
        _ => tracing::error!("no reflection: the descriptors of the services cannot be read"),
    }
    routes.routes()
}

fn peer_routes(host: &Arc<Host>, ending: watch::Receiver<bool>) -> Routes {
    let peer = PeerServer::new(PeerService { host: host.clone(), ending })
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    Routes::new(peer)
}

/// Does something until the node goes down.
async fn ended(work: impl Future<Output = ()>, mut ending: watch::Receiver<bool>) {
    tokio::select! {
        () = work => {}
        _ = ending.wait_for(|ending| *ending) => {}
    }
}

fn serve(
    servers: &mut JoinSet<()>,
    routes: Routes,
    incoming: impl Stream<Item = io::Result<Served>> + Send + 'static,
    mut ending: watch::Receiver<bool>,
) {
    let end = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    servers.spawn(async move {
        let served = server().add_routes(routes).serve_with_incoming_shutdown(incoming, end);
        if let Err(error) = served.await {
            tracing::error!(%error, "a server stopped");
        }
    });
}
