//! Plans carried out on real nodes, and the controller service over them: real sockets, real disks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use synod_api::PartitionGroup;
use synod_node::{Config, Node as Server};
use synod_proto::controller::v1::controller_client::ControllerClient;
use synod_proto::controller::v1::{
    CreatePrimitiveRequest, DeletePrimitiveRequest, GetPrimitiveRequest, ListPrimitivesRequest,
};
use synod_proto::types::v1 as wire;
use synod_types::{Error, ErrorCode, Limits, PartitionId, slot_count};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::TcpListenerStream;

use crate::controller::{Access, Catalog, ControllerService, Directory, GroupView, Groups, PartitionView};
use crate::membership::{
    AdminChannel, Genesis, Node, Nodes, Observation, Replica, Step, carry_out, may_leave, plan,
};

const GROUP: &str = "default/sample";
const PARTITIONS: u32 = 2;

/// An address for one cluster alone. Its ports are free when a node starts again: connections that go out from loopback
/// have ports of 127.0.0.1.
fn address_of_its_own() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(1);
    IpAddr::from([127, 0, 1, LAST.fetch_add(1, Ordering::Relaxed)])
}

/// Nodes in this process, and what somebody who keeps a group remembers.
struct Cluster {
    dir: TempDir,
    address: IpAddr,
    servers: BTreeMap<String, Server>,
    addresses: BTreeMap<String, (SocketAddr, SocketAddr)>,
    desired: Vec<String>,
    genesis: BTreeMap<u32, Genesis>,
    catalog: Catalog,
}

impl Cluster {
    async fn new(size: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            dir,
            address: address_of_its_own(),
            servers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            desired: Vec::new(),
            genesis: BTreeMap::new(),
            catalog: Catalog::new(0),
        };
        for number in 0..size {
            cluster.start(&format!("node-{number}")).await;
            cluster.desired.push(format!("node-{number}"));
        }
        cluster
    }

    async fn start(&mut self, name: &str) {
        let any = SocketAddr::from((self.address, 0));
        let (client_listen, peer_listen) = self.addresses.get(name).copied().unwrap_or((any, any));
        let config = Config {
            client_listen,
            peer_listen,
            metrics_listen: None,
            wal_segment_bytes: 4 << 20,
            ..Config::new(name, self.dir.path().join(name))
        };
        let server = Server::start(config).await.unwrap();
        self.addresses.insert(name.into(), (server.client_address(), server.peer_address()));
        self.servers.insert(name.into(), server);
    }

    async fn wipe(&mut self, name: &str) {
        self.servers.remove(name).unwrap().stop().await;
        std::fs::remove_dir_all(self.dir.path().join(name)).unwrap();
        self.start(name).await;
    }

    async fn observe(&self) -> (Nodes, Vec<Observation>) {
        let mut nodes = Nodes::default();
        let mut observations = vec![Observation::default(); PARTITIONS as usize];
        for (name, (client, peer)) in &self.addresses {
            let channel = AdminChannel::new(&client.to_string()).unwrap();
            let status = channel.status(Duration::from_secs(5)).await;
            nodes.insert(name, channel);
            for (partition, observation) in (0..).map(PartitionId).zip(&mut observations) {
                observation.nodes.push(Node {
                    name: name.clone(),
                    peer_address: peer.to_string(),
                    client_address: client.to_string(),
                    desired: self.desired.contains(name),
                    replica: status
                        .as_ref()
                        .map_or(Replica::Unreachable, |status| Replica::of_status(status, GROUP, partition)),
                });
            }
        }
        (nodes, observations)
    }

    /// Observes, plans and does one step of each partition. True when there is nothing left to do.
    async fn reconcile(&mut self) -> bool {
        let (nodes, observations) = self.observe().await;
        let mut steps = Vec::new();
        for (id, observation) in (0..).zip(&observations) {
            let mut step = plan(observation, self.genesis.get(&id));
            if let Step::Begin { founders } = step {
                let genesis = Genesis::new(founders, PARTITIONS, &Limits::default(), 1_700_000_000_000);
                assert_eq!(self.genesis.insert(id, genesis.unwrap()), None, "a partition begins once");
                step = plan(observation, self.genesis.get(&id));
            }
            if let Step::Act { action, .. } = &step {
                // A refusal shows in the next observation, and is planned for again.
                let _ = carry_out(action, GROUP, PartitionId(id), &nodes).await;
            }
            steps.push(step);
        }
        self.publish(&observations, &steps);
        steps.iter().all(|step| *step == Step::Nothing)
    }

    fn publish(&self, observations: &[Observation], steps: &[Step]) {
        let partitions = observations.iter().zip(steps);
        let partitions = partitions.map(|(observation, step)| PartitionView { observation, step });
        let view = GroupView {
            namespace: "default",
            name: "sample",
            protocol: "Raft".into(),
            replicas: self.desired.len() as u32,
            slots: slot_count(PARTITIONS).unwrap(),
            partitions: partitions.collect(),
        };
        self.catalog.publish(view.describe());
    }

    /// Until nothing is left to do, and every member said that it serves: a plan has no step for one that has yet to hear
    /// from its leader.
    async fn settle(&mut self) {
        let begin = Instant::now();
        while !(self.reconcile().await && self.group().ready) {
            assert!(begin.elapsed() < Duration::from_secs(30), "{:#?}", self.group());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn group(&self) -> Arc<synod_proto::controller::v1::Group> {
        self.catalog.subscribe().borrow().values().next().unwrap().clone()
    }

    /// The nodes that have a voter of a partition, as its leader says.
    fn voters(observation: &Observation) -> Vec<String> {
        let (_, leader) = observation.leader().unwrap();
        let mut voters: Vec<_> =
            leader.members.iter().filter(|member| member.votes).map(|member| member.node.clone()).collect();
        voters.sort();
        voters
    }
}

#[tokio::test]
async fn real_nodes_are_born_replaced_and_scaled() {
    let mut cluster = Cluster::new(3).await;
    cluster.settle().await;
    let group = cluster.group();
    assert!(group.ready, "{group:#?}");
    assert_eq!(group.partitions.len(), 2);
    for partition in &group.partitions {
        assert!(partition.leader != 0 && partition.members.len() == 3 && partition.term > 0);
        let mut endpoints: Vec<_> = partition.members.iter().map(|member| member.endpoint.clone()).collect();
        endpoints.sort();
        let mut expected: Vec<_> = cluster.addresses.values().map(|(client, _)| client.to_string()).collect();
        expected.sort();
        assert_eq!(endpoints, expected);
    }

    cluster.wipe("node-1").await;
    cluster.settle().await;
    let old = &group.partitions[0].members;
    let new = &cluster.group().partitions[0].members;
    let kept = new.iter().filter(|member| old.iter().any(|old| old.id == member.id)).count();
    assert_eq!((new.len(), kept), (3, 2), "one member is another");

    for name in ["node-3", "node-4"] {
        cluster.start(name).await;
        cluster.desired.push(name.into());
    }
    cluster.settle().await;
    let all = ["node-0", "node-1", "node-2", "node-3", "node-4"];
    for observation in cluster.observe().await.1 {
        assert_eq!(Cluster::voters(&observation), all);
        assert!(!may_leave(&observation, None, "node-4"));
    }

    cluster.desired = vec!["node-4".into()];
    cluster.settle().await;
    for observation in cluster.observe().await.1 {
        assert_eq!(Cluster::voters(&observation), ["node-4"]);
        assert!(all[..4].iter().all(|name| may_leave(&observation, None, name)));
    }
    assert!(cluster.group().ready);
}

struct Fixed(Catalog);

impl Directory for Fixed {
    fn groups(&self) -> watch::Receiver<Groups> {
        self.0.subscribe()
    }

    async fn create_group(&self, _: PartitionGroup) -> Result<(), Error> {
        Err(Error::new(ErrorCode::NotSupported, "there is one group"))
    }

    async fn delete_group(&self, _: &str, _: &str) -> Result<(), Error> {
        Err(Error::new(ErrorCode::NotSupported, "there is one group"))
    }
}

fn manifest(name: &str, kind: &str) -> CreatePrimitiveRequest {
    let manifest = format!(
        "apiVersion: synod.dev/v1alpha1\nkind: Primitive\nmetadata: {{name: {name}}}\nspec: {{group: sample, kind: {kind}}}\n"
    );
    CreatePrimitiveRequest { manifest }
}

#[tokio::test]
async fn primitives_are_created_found_and_deleted_on_all_their_partitions() {
    let mut cluster = Cluster::new(1).await;
    cluster.settle().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let catalog = std::mem::replace(&mut cluster.catalog, Catalog::new(0));
    let service = ControllerService::server(Arc::new(Fixed(catalog)), Access::open());
    let router = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let mut client = ControllerClient::connect(format!("http://{address}")).await.unwrap();

    for _ in 0..2 {
        let users = client.create_primitive(manifest("users", "Map")).await.unwrap().into_inner();
        assert_eq!((users.kind.as_str(), users.partitions), ("map", vec![0, 1]));
        let hits = client.create_primitive(manifest("hits", "Counter")).await.unwrap().into_inner();
        assert_eq!((hits.kind.as_str(), hits.partitions.len()), ("counter", 1));
    }
    let taken = client.create_primitive(manifest("hits", "Map")).await.unwrap_err();
    let taken = Error::from(wire::Error::from_status(&taken));
    assert_eq!(taken.code(), ErrorCode::Forbidden);
    assert!(taken.message().contains("\"hits\" is the name of a counter"), "{taken}");

    let list = || ListPrimitivesRequest::default();
    let found = client.list_primitives(list()).await.unwrap().into_inner().primitives;
    let found: Vec<_> =
        found.iter().map(|it| (it.name.as_str(), it.kind.as_str(), it.partitions.len())).collect();
    assert_eq!(found, [("hits", "counter", 1), ("users", "map", 2)], "nothing is left of what was refused");

    let delete = |name: &str, kind: &str| DeletePrimitiveRequest {
        kind: kind.into(),
        name: name.into(),
        ..DeletePrimitiveRequest::default()
    };
    client.delete_primitive(delete("users", "map")).await.unwrap();
    let again = client.delete_primitive(delete("users", "map")).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::NotFound);
    let get = |name: &str, kind: &str| GetPrimitiveRequest {
        kind: kind.into(),
        name: name.into(),
        ..GetPrimitiveRequest::default()
    };
    assert_eq!(client.get_primitive(get("users", "Map")).await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(client.get_primitive(get("hits", "Counter")).await.unwrap().into_inner().name, "hits");
}
