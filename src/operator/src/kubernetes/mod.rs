//! The operator: keeps groups and primitives on Kubernetes as they are declared.
//!
//! ```text
//!   API server ──watches──► Cache ──► group, primitive: one look at a time ──► API server, nodes
//!                             │                    ▲
//!                             ▼                    └── only who holds the lease
//!                      ClusterDirectory ──► the controller service, over TLS, for clients
//! ```
//!
//! Invariants:
//! - Only the operator that holds the lease acts; every one answers clients.
//! - A cluster in which nothing changes is not written to, but for the lease.
//!
//! What must not go here: what to do about members ([`crate::membership`] decides).

mod apply;
mod backoff;
mod cache;
mod certificates;
mod condition;
mod controller_tls;
mod difference;
mod directory;
mod group;
mod health;
mod lease;
mod metrics;
mod primitive;
mod reviews;
mod settings;
mod store;
mod triggers;

use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::client::{Body, ClientBuilder};
use kube::runtime::controller::{self, Action as Next, ReconcileReason, ReconcileRequest};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Config, Resource, ResourceExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::server::ServerConfig;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::BoxError;
use tower::util::{MapFutureLayer, MapRequestLayer};

use self::backoff::Backoff;
use self::cache::{Cache, Listeners};
use self::directory::ClusterDirectory;
use self::health::Readiness;
use self::lease::Candidate;
use self::metrics::Metrics;
use self::reviews::ClusterReviews;
pub use self::settings::{AccessMode, ControllerTls, Settings};
use self::triggers::Triggers;
use crate::controller::{Access, ControllerService};
use synod_proto::controller::v1::controller_server::ControllerServer;

/// Why the operator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no API server to talk to, or no way to.
    #[error("the API server cannot be reached: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A server ended.
    #[error("a server ended: {0}")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another operator may act by now, so this one must not.
    #[error("this operator stops, because it no longer holds the lease: {0}")]
    LeaseLost(String),
}

/// Runs the operator until `stop` is done, then gives the lease up. Steps that are under way then are left as they are:
/// whoever acts next sees what became of them.
///
/// # Errors
/// [`OperatorError`]. The process must end then: after [`OperatorError::LeaseLost`] nothing of this one may act any more.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), OperatorError> {
    let metrics = Arc::new(Metrics::new());
    let client = connect(metrics.clone()).await.map_err(OperatorError::Client)?;
    let controller = listen(settings.controller_listen).await?;
    let health = listen(settings.health_listen).await?;
    let (groups, primitives) = (Triggers::new(), Triggers::new());
    let directory = Arc::new(ClusterDirectory::new());
    let listeners =
        Listeners { groups: groups.clone(), primitives: primitives.clone(), directory: directory.clone() };
    let mut watches = JoinSet::new();
    let cache = Cache::start(&client, settings.watched_namespace.as_deref(), listeners, &mut watches);
    let readiness = Readiness::default();
    let health = health::serve(health, readiness.clone(), metrics.clone(), cache.groups.clone())
        .map(|ended| OperatorError::Serve(ended.err().map_or_else(|| "health".into(), Into::into)));
    let access = match settings.access {
        AccessMode::Reviewed => Access::reviewed(ClusterReviews::new(&client)),
        AccessMode::None => Access::open(),
    };
    let acts = Arc::new(AtomicBool::new(false));
    let (tls, certificate) = secure(&settings, &client, &readiness, &acts)?;
    let controller = serve(controller, ControllerService::server(directory.clone(), access), tls);
    let work = Work {
        settings: &settings,
        client: &client,
        cache: &cache,
        directory: &directory,
        metrics: &metrics,
    };
    let act = async {
        cache.ready().await;
        readiness.knows_the_cluster();
        tracing::info!("the cluster is known");
        let candidate = Candidate::new(client.clone(), &settings.lease_namespace, &settings.identity);
        let mut stop = std::pin::pin!(stop);
        let mut lease = tokio::select! {
            lease = candidate.acquire() => lease,
            () = &mut stop => return Ok(()),
        };
        tracing::info!(identity = settings.identity, "this operator acts");
        acts.store(true, Ordering::Relaxed);
        metrics.acts(true);
        tokio::select! {
            lost = lease.keep() => return Err(OperatorError::LeaseLost(lost.to_string())),
            () = work.groups(groups.stream()) => {}
            () = work.primitives(primitives.stream()) => {}
            () = &mut stop => {}
        }
        metrics.acts(false);
        lease.release().await;
        Ok(())
    };
    tokio::select! {
        done = act => done,
        error = health => Err(error),
        error = controller => Err(error),
        never = certificate => match never {},
    }
}

/// How to speak TLS with clients of the controller service, if it is to be spoken, and what looks after the certificate.
fn secure(
    settings: &Settings,
    client: &Client,
    readiness: &Readiness,
    acts: &Arc<AtomicBool>,
) -> Result<(Option<Arc<ServerConfig>>, BoxFuture<'static, Infallible>), OperatorError> {
    match settings.controller_tls {
        ControllerTls::Made => {}
        ControllerTls::None => {
            readiness.can_show_who_it_is();
            return Ok((None, futures::future::pending().boxed()));
        }
    }
    let shown = Arc::new(controller_tls::Shown::default());
    let config = controller_tls::config(shown.clone()).map_err(|error| OperatorError::Serve(error.into()))?;
    let (readiness, acts) = (readiness.clone(), acts.clone());
    let keeper = controller_tls::Keeper::new(client, &settings.lease_namespace, shown, readiness, acts);
    Ok((Some(config), async move { keeper.run().await }.boxed()))
}

/// Serves clients until the process ends.
async fn serve(
    listener: TcpListener,
    service: ControllerServer<ControllerService<ClusterDirectory>>,
    tls: Option<Arc<ServerConfig>>,
) -> OperatorError {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(service);
    let ended = match tls {
        Some(config) => server.serve_with_incoming(controller_tls::accept(incoming, config)).await,
        None => server.serve_with_incoming(incoming).await,
    };
    OperatorError::Serve(ended.err().map_or_else(|| "controller".into(), Into::into))
}

/// How long the API server has to begin an answer, also if it asks to be asked again meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the API server. What it writes is counted; what is not answered fails.
async fn connect(metrics: Arc<Metrics>) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let count = move |request: axum::http::Request<Body>| {
        metrics.request(request.method(), request.uri().path());
        request
    };
    let builder = ClientBuilder::try_from(Config::infer().await?)?;
    let in_time = MapFutureLayer::new(|answer: BoxFuture<'static, Result<_, BoxError>>| async move {
        timeout(PATIENCE, answer).await.unwrap_or_else(|late| Err(late.into()))
    });
    Ok(builder.with_layer(&MapRequestLayer::new(count)).with_layer(&in_time).build())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, OperatorError> {
    TcpListener::bind(address).await.map_err(|source| OperatorError::Listen { address, source })
}

/// What the operator that holds the lease does.
struct Work<'a> {
    settings: &'a Settings,
    client: &'a Client,
    cache: &'a Arc<Cache>,
    directory: &'a Arc<ClusterDirectory>,
    metrics: &'a Metrics,
}

impl Work<'_> {
    async fn groups(&self, queue: impl futures::Stream<Item = ObjectRef<synod_api::PartitionGroup>> + Send) {
        let reporter = Reporter {
            controller: "synod-operator".to_owned(),
            instance: Some(self.settings.identity.clone()),
        };
        let context = group::Context {
            client: self.client.clone(),
            cache: self.cache.clone(),
            connections: group::Connections::default(),
            complaints: group::Complaints::default(),
            recorder: Recorder::new(self.client.clone(), reporter),
            image: self.settings.image.clone(),
        };
        self.keep(self.cache.groups.clone(), queue, Arc::new(context), group::reconcile).await;
    }

    async fn primitives(&self, queue: impl futures::Stream<Item = ObjectRef<synod_api::Primitive>> + Send) {
        let context = primitive::Context { client: self.client.clone(), directory: self.directory.clone() };
        self.keep(self.cache.primitives.clone(), queue, Arc::new(context), primitive::reconcile).await;
    }

    /// Looks after the objects of one kind: each when it is in the queue or its time has come, never one twice at once.
    async fn keep<K, C, E, F>(
        &self,
        store: Store<K>,
        queue: impl futures::Stream<Item = ObjectRef<K>> + Send,
        context: Arc<C>,
        reconcile: impl Fn(Arc<K>, Arc<C>) -> F,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash,
        C: Send + Sync,
        E: std::error::Error + Send + 'static,
        F: Future<Output = Result<Next, E>> + Send,
    {
        let backoff = Arc::new(Backoff::new());
        let failures = backoff.clone();
        let counted = &Arc::new(self.metrics.controller(&K::kind(&())));
        let requests = queue.map(|object| {
            counted.queued((object.namespace.clone(), object.name.clone()));
            Ok::<_, Infallible>(ReconcileRequest { obj_ref: object, reason: ReconcileReason::Unknown })
        });
        let failed = move |object: Arc<K>, error: &E, _: Arc<C>| {
            let object = ObjectRef::from_obj(&*object);
            tracing::warn!(%object, %error, "not as declared yet");
            Next::requeue(failures.failed(object))
        };
        let config = controller::Config::default().concurrency(self.settings.concurrency);
        let looks = controller::applier(
            move |object, context| {
                let key = (object.namespace(), object.name_any());
                let counted = counted.clone();
                let look = reconcile(object, context);
                async move { counted.looking(key, look).await }.boxed()
            },
            failed,
            context,
            store,
            requests,
            config,
        );
        looks
            .for_each(|outcome| {
                match outcome {
                    Ok((object, _)) => backoff.forget(&object),
                    Err(controller::Error::ObjectNotFound(object)) => {
                        counted.gone(&(object.namespace.clone(), object.name.clone()));
                    }
                    Err(controller::Error::ReconcilerFailed(..)) => {}
                    Err(error) => tracing::error!(%error, "the queue failed"),
                }
                futures::future::ready(())
            })
            .await;
    }
}
