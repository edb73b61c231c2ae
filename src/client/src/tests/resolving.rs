//! Finding groups by a controller, and following what it says.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use synod_proto::controller::v1 as wire;
use synod_proto::controller::v1::controller_server::{Controller, ControllerServer};
use synod_proto::types::v1::Error as WireError;
use synod_types::{Error, ErrorCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tonic::{Request, Response, Status};

use super::cluster::{Cluster, Shape, soon, until};
use crate::Client;

type Changes = Pin<Box<dyn Stream<Item = Result<wire::WatchGroupsResponse, Status>> + Send>>;

type Answer<'a, T> = BoxFuture<'a, Result<Response<T>, Status>>;

/// A controller that knows the groups it is told.
pub(crate) struct Told {
    pub(crate) groups: watch::Receiver<Vec<wire::Group>>,
}

impl Told {
    fn find(&self, namespace: &str, name: &str) -> Result<wire::Group, Status> {
        let groups = self.groups.borrow();
        let fits =
            |group: &&wire::Group| group.namespace == namespace && (name.is_empty() || group.name == name);
        let found: Vec<_> = groups.iter().filter(fits).collect();
        let error = match found.as_slice() {
            [group] => return Ok((*group).clone()),
            [] => Error::new(ErrorCode::NotFound, format!("group \"{namespace}/{name}\" does not exist")),
            _ => Error::new(ErrorCode::Invalid, "the namespace has several groups: name one"),
        };
        Err(WireError::from(error).into())
    }
}

/// What a client does not ask for.
macro_rules! not_asked {
    ($($name:ident: $request:ident -> $response:ident),*) => {$(
        // What `async_trait` makes of an async function; it does not look into macros.
        fn $name<'a, 'b>(&'a self, _: Request<wire::$request>) -> Answer<'b, wire::$response>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($name))) })
        }
    )*};
}

#[tonic::async_trait]
impl Controller for Told {
    type WatchGroupsStream = Changes;

    async fn get_group(
        &self,
        request: Request<wire::GetGroupRequest>,
    ) -> Result<Response<wire::Group>, Status> {
        let wire::GetGroupRequest { namespace, name } = request.into_inner();
        self.find(&namespace, &name).map(Response::new)
    }

    async fn watch_groups(
        &self,
        request: Request<wire::WatchGroupsRequest>,
    ) -> Result<Response<Changes>, Status> {
        let wire::WatchGroupsRequest { namespace, name } = request.into_inner();
        let changes = WatchStream::new(self.groups.clone()).flat_map(move |groups| {
            let (namespace, name) = (namespace.clone(), name.clone());
            let fits = move |group: &wire::Group| group.namespace == namespace && group.name == name;
            let change = |group| Ok(wire::WatchGroupsResponse { group: Some(group), deleted: false });
            futures::stream::iter(groups.into_iter().filter(fits).map(change).collect::<Vec<_>>())
        });
        Ok(Response::new(changes.boxed()))
    }

    not_asked! {
        list_groups: ListGroupsRequest -> ListGroupsResponse,
        create_group: CreateGroupRequest -> Group,
        delete_group: DeleteGroupRequest -> DeleteGroupResponse,
        list_primitives: ListPrimitivesRequest -> ListPrimitivesResponse,
        get_primitive: GetPrimitiveRequest -> Primitive,
        create_primitive: CreatePrimitiveRequest -> Primitive,
        delete_primitive: DeletePrimitiveRequest -> DeletePrimitiveResponse
    }
}

/// A controller that serves.
struct Serving {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Serving {
    async fn start(address: SocketAddr, groups: watch::Receiver<Vec<wire::Group>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(ControllerServer::new(Told { groups }))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self { address, server }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// What a controller would say of a cluster, from what its nodes say of themselves.
async fn describe(cluster: &Cluster, partitions: u32) -> wire::Group {
    let mut described = Vec::new();
    for id in 0..partitions {
        let leader = cluster.leader(id).await;
        let replica = cluster.replica(leader, id).await;
        let members = replica.members.into_iter().filter_map(|status| status.member);
        let member = |member: synod_proto::types::v1::Member| wire::Member {
            id: member.id,
            node: member.node,
            endpoint: member.client_address,
            ..Default::default()
        };
        let (leader, term) = (replica.leader, replica.term);
        described.push(wire::Partition { id, leader, term, members: members.map(member).collect() });
    }
    wire::Group {
        namespace: "default".into(),
        name: "sample".into(),
        slots: synod_types::slot_count(partitions).unwrap(),
        partitions: described,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_its_group_and_follows_its_leaders() {
    let mut cluster = Cluster::new(Shape { partitions: 2, ..Shape::default() }).await;
    let (groups, told) = watch::channel(vec![describe(&cluster, 2).await]);
    let serving = Serving::start(any(), told).await;
    let client = Client::builder().controller(serving.address.to_string()).build().await.unwrap();
    let group = client.default_group().await.unwrap();
    assert_eq!(group.name(), "default/sample");
    let map = group.map("m");
    for key in ["a", "b", "c", "d"] {
        map.put(key, "1").await.unwrap();
    }
    let mut topology = group.topology_changes();
    let leader = cluster.leader(0).await;
    cluster.kill(leader).await;
    let now = describe(&cluster, 2).await;
    let moved = now.partitions[0].term;
    groups.send(vec![now]).unwrap();
    soon("the news", topology.wait_for(|now| now.partitions[0].term.get() == moved)).await.unwrap();
    for key in ["a", "b", "c", "d"] {
        map.put(key, "2").await.unwrap();
    }
    assert_eq!(map.len().await.unwrap(), 4);
}

#[tokio::test]
async fn a_controller_that_restarts_is_followed_again() {
    let cluster = Cluster::new(Shape { nodes: 1, ..Shape::default() }).await;
    let (groups, told) = watch::channel(vec![describe(&cluster, 1).await]);
    let serving = Serving::start(any(), told.clone()).await;
    let address = serving.address;
    let client = Client::builder().controller(format!("http://{address}")).build().await.unwrap();
    let group = client.group("sample").await.unwrap();
    let mut topology = group.topology_changes();
    drop(serving);
    // Without a controller, what is known is enough.
    group.counter("c").increment(1).await.unwrap();
    let _serving = until("the port is free again", async || {
        TcpListener::bind(address).await.ok().map(drop)?;
        Some(Serving::start(address, told.clone()).await)
    })
    .await;
    let mut changed = groups.borrow().clone();
    changed[0].partitions[0].term += 1;
    groups.send(changed.clone()).unwrap();
    let term = changed[0].partitions[0].term;
    soon("the news", topology.wait_for(|now| now.partitions[0].term.get() == term)).await.unwrap();
}

#[tokio::test]
async fn a_controller_that_starts_later_than_its_clients_is_waited_for() {
    let cluster = Cluster::new(Shape { nodes: 1, ..Shape::default() }).await;
    let (_groups, told) = watch::channel(vec![describe(&cluster, 1).await]);
    let refusing = TcpListener::bind(any()).await.unwrap();
    let address = refusing.local_addr().unwrap();
    let client = Client::builder().controller(address.to_string()).build().await.unwrap();
    let serving = async {
        drop(refusing.accept().await.unwrap());
        drop(refusing);
        Serving::start(address, told).await
    };
    let (group, _serving) = futures::join!(client.group("sample"), serving);
    assert_eq!(group.unwrap().counter("c").increment(1).await.unwrap(), 1);
}

#[tokio::test]
async fn what_cannot_be_found_is_said_clearly() {
    let named = |name: &str| wire::Group {
        namespace: "default".into(),
        name: name.into(),
        slots: 32_768,
        partitions: vec![wire::Partition::default()],
        ..Default::default()
    };
    let (_groups, told) = watch::channel(vec![named("one"), named("two")]);
    let serving = Serving::start(any(), told).await;
    let client = Client::builder().controller(serving.address.to_string()).build().await.unwrap();
    let error = client.group("three").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.to_string().contains("\"default/three\" does not exist"), "{error}");
    let error = client.default_group().await.unwrap_err();
    assert!(error.to_string().contains("several groups"), "{error}");
    assert_eq!(client.group("one").await.unwrap().name(), "default/one");

    // Port 1 is one on which nobody listens.
    let client = Client::builder()
        .controller("http://127.0.0.1:1")
        .request_timeout(Duration::from_millis(200))
        .build()
        .await
        .unwrap();
    let error = client.group("one").await.unwrap_err();
    assert!(error.is_retryable() && error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn a_group_inside_the_process_is_ready_at_once_and_gone_with_its_client() {
    let client = Client::embedded().partitions(3).await.unwrap();
    let group = client.default_group().await.unwrap();
    assert_eq!(group.counter("c").increment(1).await.unwrap(), 1);
    for key in ["a", "b", "c", "d", "e"] {
        group.map("m").put(key, "1").await.unwrap();
    }
    assert_eq!(group.map("m").len().await.unwrap(), 5);
    let dir = client.embedded_dir().unwrap();
    assert!(dir.exists());
    drop(client);
    assert!(dir.exists(), "the group is still in use");
    drop(group);
    assert!(!dir.exists());
}
