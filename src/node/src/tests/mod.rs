//! Groups of real nodes in one process: real sockets, real disks.

mod discard;
mod drain;
mod http;
mod lock;
mod peers;
mod ports;
mod recovery;
mod replication;
mod services;
mod sessions;
mod tls;
mod unary;
mod watches;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use synod_proto::admin::v1::admin_client::AdminClient;
use synod_proto::admin::v1::{BootstrapRequest, Phase, PrepareRequest, Replica, StatusRequest};
use synod_proto::counter::v1::counter_client::CounterClient;
use synod_proto::counter::v1::{GetRequest, IncrementRequest};
use synod_proto::primitive::v1::PrimitiveReference;
use synod_proto::types::v1::{Error as WireError, Limits, Member};
use synod_types::{ErrorCode, slot_count};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::transport::Channel;

use self::tls::{Authority, Leaf};
use crate::{Config, Node};

const GROUP: &str = "default/sample";

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// An address for one cluster alone. Its ports are free when a node starts again: connections that go out from loopback
/// have ports of 127.0.0.1.
fn address_of_its_own() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(1);
    IpAddr::from([127, 0, 1, LAST.fetch_add(1, Ordering::Relaxed)])
}

/// Nodes with a directory each, which live longer than they do.
struct Cluster {
    dir: TempDir,
    address: IpAddr,
    nodes: BTreeMap<usize, Node>,
    ports: BTreeMap<usize, (SocketAddr, SocketAddr)>,
    limits: Option<Limits>,
    /// Who vouches for the nodes, if anything is encrypted.
    authority: Option<Authority>,
}

impl Cluster {
    /// Nodes that host nothing yet.
    async fn new(size: usize) -> Self {
        Self::with(size, None).await
    }

    async fn with(size: usize, authority: Option<Authority>) -> Self {
        let (nodes, ports) = (BTreeMap::new(), BTreeMap::new());
        let address = authority.as_ref().map_or_else(address_of_its_own, |authority| authority.address);
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { dir, address, nodes, ports, limits: None, authority };
        for number in 0..size {
            cluster.start(number).await;
        }
        cluster
    }

    /// Nodes that host a group in which every partition has a leader.
    async fn of_partitions(size: usize, partitions: u32) -> Self {
        Self::new(size).await.begun(partitions).await
    }

    /// The same nodes, once they host a group in which every partition has a leader.
    async fn begun(self, partitions: u32) -> Self {
        let cluster = self;
        for partition in 0..partitions {
            cluster.bootstrap(partition, partitions).await;
        }
        for partition in 0..partitions {
            cluster.leader_of(partition).await;
        }
        cluster
    }

    async fn start(&mut self, number: usize) {
        let any = SocketAddr::from((self.address, 0));
        let (client_listen, peer_listen) = self.ports.get(&number).copied().unwrap_or((any, any));
        let mut config = Config {
            client_listen,
            peer_listen,
            metrics_listen: Some(any),
            tls_dir: self.tls_dir(number),
            wal_segment_bytes: 2 << 20,
            ..Config::new(format!("node-{number}"), self.dir.path().join(number.to_string()))
        };
        config.replica.progress_interval = Duration::from_millis(100);
        let node = Node::start(config).await.unwrap();
        self.ports.insert(number, (node.client_address(), node.peer_address()));
        self.nodes.insert(number, node);
    }

    async fn stop(&mut self, number: usize) {
        self.nodes.remove(&number).unwrap().stop().await;
    }

    async fn channel(&self, number: usize) -> Channel {
        let address = self.ports[&number].0;
        match &self.authority {
            Some(authority) => authority.connect(address).await.unwrap(),
            None => connect(address).await,
        }
    }

    /// The directory of a node's certificates, with good ones unless there are any already.
    fn tls_dir(&self, number: usize) -> Option<PathBuf> {
        let authority = self.authority.as_ref()?;
        let dir = self.dir.path().join(format!("{number}-tls"));
        if !dir.exists() {
            authority.issue(&Leaf::default()).write(&dir, &authority.pem);
        }
        Some(dir)
    }

    async fn admin(&self, number: usize) -> AdminClient<Channel> {
        AdminClient::new(self.channel(number).await)
    }

    async fn counter(&self, number: usize) -> CounterClient<Channel> {
        CounterClient::new(self.channel(number).await)
    }

    /// Gives a replica on a node an id and says who it is.
    async fn prepare(&self, number: usize, partition: u32) -> Member {
        let request = PrepareRequest { group: GROUP.into(), partition };
        let prepared = self.admin(number).await.prepare(request).await.unwrap().into_inner();
        Member {
            id: prepared.member_id,
            node: format!("node-{number}"),
            peer_address: self.nodes[&number].peer_address().to_string(),
            client_address: self.nodes[&number].client_address().to_string(),
            role: 0,
        }
    }

    async fn bootstrap(&self, partition: u32, partitions: u32) {
        let mut members = Vec::new();
        for number in self.nodes.keys() {
            members.push(self.prepare(*number, partition).await);
        }
        for number in self.nodes.keys() {
            let genesis = self.genesis(partition, partitions, members.clone());
            self.admin(*number).await.bootstrap(genesis).await.unwrap();
        }
    }

    fn genesis(&self, partition: u32, partitions: u32, members: Vec<Member>) -> BootstrapRequest {
        BootstrapRequest {
            group: GROUP.into(),
            partition,
            members,
            partitions,
            slots: slot_count(partitions).unwrap(),
            limits: self.limits,
            born_ms: 1_700_000_000_000,
        }
    }

    async fn replicas(&self, number: usize) -> Vec<Replica> {
        let status = self.admin(number).await.status(StatusRequest {}).await.unwrap();
        status.into_inner().replicas
    }

    /// The replica of partition 0 on a node.
    async fn replica(&self, number: usize) -> Replica {
        self.replicas(number).await.into_iter().next().unwrap()
    }

    /// Waits until the replica of partition 0 on a node is as it should be.
    async fn until(&self, number: usize, what: &str, fits: impl Fn(&Replica) -> bool) -> Replica {
        let begin = Instant::now();
        loop {
            let replica = self.replica(number).await;
            if fits(&replica) {
                return replica;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {replica:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The node whose replica leads partition 0.
    async fn leader(&self) -> usize {
        self.leader_of(0).await
    }

    /// The node whose replica leads a partition, as every replica of it knows.
    async fn leader_of(&self, partition: u32) -> usize {
        let begin = Instant::now();
        loop {
            let mut leaders = Vec::new();
            let mut leading = None;
            for number in self.nodes.keys() {
                let running =
                    self.replicas(*number).await.into_iter().find(|replica| {
                        replica.partition == partition && replica.phase == Phase::Running as i32
                    });
                let Some(replica) = running else { continue };
                if replica.leader == replica.member_id {
                    leading = Some(*number);
                }
                leaders.push(replica.leader);
            }
            leaders.dedup();
            if let (Some(number), [leader]) = (leading, leaders.as_slice())
                && *leader != 0
            {
                return number;
            }
            assert!(begin.elapsed() < PATIENCE, "no leader: {leaders:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asserts that every replica runs, and that all agree on every byte.
    async fn assert_whole(&self) {
        let mut partitions: BTreeMap<u32, u64> = BTreeMap::new();
        for number in self.nodes.keys() {
            for replica in self.replicas(*number).await {
                assert_eq!(Phase::try_from(replica.phase), Ok(Phase::Running), "{replica:?}");
                let last = partitions.entry(replica.partition).or_default();
                *last = (*last).max(replica.last_log_index);
            }
        }
        for (partition, last) in partitions {
            let begin = Instant::now();
            loop {
                let mut states = Vec::new();
                for number in self.nodes.keys() {
                    let replicas = self.replicas(*number).await;
                    let replica =
                        replicas.into_iter().find(|replica| replica.partition == partition).unwrap();
                    states.push((replica.applied_log_index, replica.state_hash));
                }
                let first = states[0].clone();
                if first.0 >= last && states.iter().all(|state| *state == first) {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "{states:?}");
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Names a primitive of the only group.
fn named(name: &str) -> Option<PrimitiveReference> {
    Some(PrimitiveReference { name: name.into(), ..PrimitiveReference::default() })
}

/// The code of a failed call, and what it says.
fn code(status: &Status) -> ErrorCode {
    ErrorCode::from_number(WireError::from_status(status).code)
}

async fn increment(client: &mut CounterClient<Channel>, name: &str) -> Result<i64, Status> {
    let request = IncrementRequest { primitive: named(name), delta: 1 };
    client.increment(request).await.map(|response| response.into_inner().value)
}

async fn count(client: &mut CounterClient<Channel>, name: &str) -> i64 {
    client.get(GetRequest { primitive: named(name) }).await.unwrap().into_inner().value
}
