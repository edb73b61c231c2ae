//! Groups of real nodes in this process, each on a runtime of its own, so that one can be killed with all its sockets and
//! threads; and what stands between them and a client.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use synod_node::{Config, Node};
use synod_types::{PartitionId, slot_count};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use super::proxy::Proxy;
use crate::admin::{Admin, Birth, Limits, Member, Phase, Replica, ReplicaName};
use crate::resolver::FixedResolver;
use crate::{Client, ClientBuilder, Group};

const NAMESPACE: &str = "default";
const GROUP: &str = "sample";
const FULL_NAME: &str = "default/sample";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a cluster is to be.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    pub(super) partitions: u32,
    /// A proxy stands before each node.
    pub(super) proxies: bool,
    pub(super) limits: Option<Limits>,
    pub(super) adjust: fn(&mut Config),
}

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 3, partitions: 1, proxies: false, limits: None, adjust: |_| {} }
    }
}

/// A node that runs, or does not just now.
struct Place {
    running: Option<(Node, Runtime)>,
    client_address: SocketAddr,
    peer_address: SocketAddr,
    proxy: Option<Proxy>,
}

impl Place {
    /// Where clients reach the node.
    fn endpoint(&self) -> String {
        self.proxy.as_ref().map_or(self.client_address, Proxy::address).to_string()
    }
}

/// An address for one cluster alone. Its ports are free when a node starts again: connections that go out from loopback
/// have ports of 127.0.0.1.
fn address_of_its_own() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(1);
    IpAddr::from([127, 0, 1, LAST.fetch_add(1, Ordering::Relaxed)])
}

/// A group with its nodes.
pub(super) struct Cluster {
    dir: TempDir,
    shape: Shape,
    places: Vec<Place>,
}

impl Cluster {
    pub(super) async fn new(shape: Shape) -> Self {
        let mut cluster = Self { dir: tempfile::tempdir().unwrap(), shape, places: Vec::new() };
        let address = address_of_its_own();
        for number in 0..cluster.shape.nodes {
            let any = SocketAddr::from((address, 0));
            let running = cluster.launch(number, any, any).await;
            let (client_address, peer_address) = (running.0.client_address(), running.0.peer_address());
            let proxy = if cluster.shape.proxies { Some(Proxy::start(client_address).await) } else { None };
            cluster.places.push(Place { running: Some(running), client_address, peer_address, proxy });
        }
        for partition in 0..cluster.shape.partitions {
            cluster.bootstrap(partition).await;
        }
        cluster
    }

    /// A cluster with a client and its group.
    pub(super) async fn with_group(shape: Shape) -> (Self, Group) {
        let cluster = Self::new(shape).await;
        let group = cluster.group().await;
        (cluster, group)
    }

    async fn launch(&self, number: usize, client: SocketAddr, peer: SocketAddr) -> (Node, Runtime) {
        let mut config = Config {
            client_listen: client,
            peer_listen: peer,
            metrics_listen: None,
            wal_segment_bytes: 4 << 20,
            ..Config::new(format!("node-{number}"), self.dir.path().join(number.to_string()))
        };
        (self.shape.adjust)(&mut config);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let node = runtime.spawn(Node::start(config)).await.unwrap().unwrap();
        (node, runtime)
    }

    async fn bootstrap(&self, partition: u32) {
        let replica = ReplicaName { group: FULL_NAME, partition: PartitionId(partition) };
        let mut members = Vec::new();
        for (number, place) in self.places.iter().enumerate() {
            members.push(Member {
                id: self.admin(number).prepare(replica).await.unwrap().member.get(),
                node: format!("node-{number}"),
                peer_address: place.peer_address.to_string(),
                client_address: place.endpoint(),
                role: 0,
            });
        }
        for number in 0..self.places.len() {
            let birth = Birth {
                group: FULL_NAME.to_owned(),
                partition,
                members: members.clone(),
                partitions: self.shape.partitions,
                slots: slot_count(self.shape.partitions).unwrap(),
                limits: self.shape.limits,
                born_ms: 1_700_000_000_000,
            };
            // Those that were told first may be giving it a snapshot already: then it refuses, and runs all the same.
            let _ = self.admin(number).bootstrap(birth).await;
            until("the replica runs", async || {
                let replica = self.replica(number, partition).await;
                (replica.phase == Phase::Running as i32).then_some(())
            })
            .await;
        }
    }

    /// The admin service of a node, past its proxy.
    pub(super) fn admin(&self, number: usize) -> Admin {
        Admin::new(&self.places[number].client_address.to_string()).unwrap()
    }

    /// Where clients reach each node.
    pub(super) fn endpoints(&self) -> Vec<String> {
        self.places.iter().map(Place::endpoint).collect()
    }

    pub(super) fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.places.iter().filter_map(|place| place.proxy.as_ref())
    }

    /// A client that finds the group without a controller.
    pub(super) fn builder(&self) -> ClientBuilder {
        let resolver = FixedResolver::new(NAMESPACE, GROUP, self.shape.partitions, self.endpoints()).unwrap();
        Client::builder().resolver(resolver).namespace(NAMESPACE).group(GROUP)
    }

    pub(super) async fn client(&self) -> Client {
        self.builder().build().await.unwrap()
    }

    pub(super) async fn group(&self) -> Group {
        self.client().await.default_group().await.unwrap()
    }

    /// The group as a client sees it that goes past the proxies.
    pub(super) async fn direct_group(&self) -> Group {
        let addresses = self.places.iter().map(|place| place.client_address.to_string());
        let resolver = FixedResolver::new(NAMESPACE, GROUP, self.shape.partitions, addresses).unwrap();
        let client = Client::builder().resolver(resolver).build().await.unwrap();
        client.group(GROUP).await.unwrap()
    }

    /// How the replica of a partition stands on a node that runs.
    pub(super) async fn replica(&self, number: usize, partition: u32) -> Replica {
        let status = self.admin(number).status().await.unwrap();
        status.replicas.into_iter().find(|replica| replica.partition == partition).unwrap()
    }

    /// The node that leads a partition.
    pub(super) async fn leader(&self, partition: u32) -> usize {
        let begin = Instant::now();
        loop {
            for number in self.running() {
                let replica = self.replica(number, partition).await;
                if replica.leader == replica.member_id && replica.member_id != 0 {
                    return number;
                }
            }
            assert!(begin.elapsed() < PATIENCE, "no leader");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|number| self.places[*number].running.is_some()).collect()
    }

    /// Ends a node as a crash would: all at once, and nobody is told. Returns when nothing of it is left.
    pub(super) async fn kill(&mut self, number: usize) {
        let Some((node, runtime)) = self.places[number].running.take() else { return };
        let end = move || {
            drop(node);
            runtime.shutdown_timeout(PATIENCE);
        };
        tokio::task::spawn_blocking(end).await.unwrap();
    }

    pub(super) async fn start(&mut self, number: usize) {
        let Place { client_address, peer_address, .. } = self.places[number];
        let running = self.launch(number, client_address, peer_address).await;
        self.places[number].running = Some(running);
    }
}

impl Drop for Cluster {
    /// Runtimes must not be dropped where async code runs.
    fn drop(&mut self) {
        for place in &mut self.places {
            if let Some((node, runtime)) = place.running.take() {
                drop(node);
                runtime.shutdown_background();
            }
        }
    }
}

/// Waits until something is as it should be.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Does not wait for ever.
pub(super) async fn soon<T>(what: &str, future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future.into_future())
        .await
        .unwrap_or_else(|_| panic!("{what}: not in {PATIENCE:?}"))
}

/// A number that tasks count together.
pub(super) type Count = Arc<std::sync::atomic::AtomicU64>;
