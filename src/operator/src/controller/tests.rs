//! The service over a directory that is only a list: real sockets, no nodes.

mod permits;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use synod_api::PartitionGroup;
use synod_proto::controller::v1::controller_client::ControllerClient;
use synod_proto::controller::v1::{
    CreateGroupRequest, CreatePrimitiveRequest, DeleteGroupRequest, GetGroupRequest, GetPrimitiveRequest,
    Group, ListGroupsRequest, ListPrimitivesRequest, WatchGroupsRequest, WatchGroupsResponse,
};
use synod_proto::types::v1 as wire;
use synod_types::{Error, ErrorCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Status, Streaming};

use super::{Access, Catalog, ControllerService, Directory, Groups};

struct List(Catalog);

impl Directory for List {
    fn groups(&self) -> watch::Receiver<Groups> {
        self.0.subscribe()
    }

    async fn create_group(&self, group: PartitionGroup) -> Result<(), Error> {
        let namespace = group.metadata.namespace.unwrap_or_else(|| "default".into());
        self.0.publish(named(&namespace, &group.metadata.name.unwrap()));
        Ok(())
    }

    async fn delete_group(&self, namespace: &str, name: &str) -> Result<(), Error> {
        self.0.remove(namespace, name);
        Ok(())
    }
}

fn named(namespace: &str, name: &str) -> Group {
    Group { namespace: namespace.into(), name: name.into(), slots: 3, ..Group::default() }
}

async fn serve() -> (Arc<List>, ControllerClient<Channel>) {
    let list = Arc::new(List(Catalog::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Server::builder().add_service(ControllerService::server(list.clone(), Access::open()));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let client = ControllerClient::connect(format!("http://{address}")).await.unwrap();
    (list, client)
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (ErrorCode, String) {
    let error = Error::from(wire::Error::from_status(&answer.unwrap_err()));
    (error.code(), error.message().to_owned())
}

async fn next(watch: &mut Streaming<WatchGroupsResponse>) -> (String, u64, bool) {
    let next = timeout(Duration::from_secs(10), watch.next()).await.expect("nothing came");
    let WatchGroupsResponse { group, deleted } = next.unwrap().unwrap();
    let Group { namespace, name, revision, .. } = group.unwrap();
    (format!("{namespace}/{name}"), revision, deleted)
}

#[tokio::test]
async fn a_group_is_found_by_namespace_and_name() {
    let (list, mut client) = serve().await;
    let get =
        |namespace: &str, name: &str| GetGroupRequest { namespace: namespace.into(), name: name.into() };
    assert_eq!(
        refused(client.get_group(get("", "")).await),
        (ErrorCode::NotFound, "there is no group in namespace \"default\", nor in any other".into())
    );
    list.0.publish(named("shop", "orders"));
    assert_eq!(
        refused(client.get_group(get("", "orders")).await),
        (ErrorCode::NotFound, "there is no group in namespace \"default\", there are some in shop".into())
    );
    assert_eq!(client.get_group(get("shop", "")).await.unwrap().into_inner().name, "orders");
    assert_eq!(
        refused(client.get_group(get("shop", "order")).await),
        (ErrorCode::NotFound, "there is no group \"order\" in namespace \"shop\", which has orders".into())
    );
    list.0.publish(named("shop", "stock"));
    assert_eq!(
        refused(client.get_group(get("shop", "")).await),
        (
            ErrorCode::Invalid,
            "namespace \"shop\" has several groups, say which is meant: orders, stock".into()
        )
    );
    list.0.publish(named("default", "sample"));
    assert_eq!(client.get_group(get("", "")).await.unwrap().into_inner().name, "sample");
    for (namespace, expected) in [("", 3), ("shop", 2), ("none", 0)] {
        let request = ListGroupsRequest { namespace: namespace.into() };
        let groups = client.list_groups(request).await.unwrap().into_inner().groups;
        assert_eq!(groups.len(), expected, "{namespace}");
    }
}

#[tokio::test]
async fn a_watch_tells_what_is_and_then_what_changes() {
    let (list, mut client) = serve().await;
    list.0.publish(named("default", "a"));
    let mut all = client.watch_groups(WatchGroupsRequest::default()).await.unwrap().into_inner();
    let only_b = WatchGroupsRequest { namespace: "default".into(), name: "b".into() };
    let mut one = client.watch_groups(only_b).await.unwrap().into_inner();
    assert_eq!(next(&mut all).await, ("default/a".into(), 1, false));
    list.0.publish(named("default", "b"));
    assert_eq!(next(&mut all).await, ("default/b".into(), 2, false));
    assert_eq!(next(&mut one).await, ("default/b".into(), 2, false));
    list.0.publish(Group { ready: true, ..named("default", "a") });
    assert_eq!(next(&mut all).await, ("default/a".into(), 3, false));
    list.0.remove("default", "b");
    assert_eq!(next(&mut all).await, ("default/b".into(), 2, true));
    assert_eq!(next(&mut one).await, ("default/b".into(), 2, true), "and nothing of a in between");
}

/// A watcher that does not read gets the newest state when it does, and nothing of what was in between.
#[tokio::test]
async fn a_slow_watcher_skips() {
    let (list, mut client) = serve().await;
    list.0.publish(named("default", "a"));
    let mut watch = client.watch_groups(WatchGroupsRequest::default()).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await.1, 1);
    // Far more than the windows of the connection hold.
    let message = "x".repeat(100_000);
    for term in 0..1_000_u32 {
        let group = Group { message: message.clone(), replicas: term, ..named("default", "a") };
        list.0.publish(group);
        tokio::task::yield_now().await;
    }
    let mut seen = 1;
    let mut revision = 1;
    while revision < 1_001 {
        let (_, newer, _) = next(&mut watch).await;
        assert!(newer > revision);
        (seen, revision) = (seen + 1, newer);
    }
    assert!(seen < 500, "{seen} states were told");
}

#[tokio::test]
async fn groups_are_created_from_manifests_and_deleted() {
    let (list, mut client) = serve().await;
    let create = |manifest: &str| CreateGroupRequest { manifest: manifest.into() };
    let sample = include_str!("../../../../config/samples/partitiongroup.yaml");
    let created = client.create_group(create(sample)).await.unwrap().into_inner();
    assert_eq!((created.namespace.as_str(), created.name.as_str()), ("default", "sample"));

    let wrong = sample.replace("partitions: 3", "partitions: 0").replace("replicas: 3", "repl: 3");
    let (code, message) = refused(client.create_group(create(&wrong)).await);
    assert_eq!(code, ErrorCode::Invalid);
    assert!(message.contains("spec.partitions") && message.contains("spec.repl"), "{message}");
    let both = format!("{sample}\n---\n{}", sample.replace("name: sample", "name: other"));
    let (_, message) = refused(client.create_group(create(&both)).await);
    assert_eq!(message, "the manifest holds 2 objects: send one at a time");
    let (_, message) = refused(client.create_group(create("")).await);
    assert_eq!(message, "the manifest holds 0 objects: send one at a time");
    let primitive = "\
apiVersion: synod.dev/v1alpha1
kind: Primitive
metadata: {name: a}
spec: {group: sample, kind: Map}
";
    let (_, message) = refused(client.create_group(create(primitive)).await);
    assert_eq!(message, "the manifest is a Primitive, not a PartitionGroup");
    let request = CreatePrimitiveRequest { manifest: sample.into() };
    let (_, message) = refused(client.create_primitive(request).await);
    assert_eq!(message, "the manifest is a PartitionGroup, not a Primitive");

    let delete = |name: &str| DeleteGroupRequest { namespace: String::new(), name: name.into() };
    let (code, message) = refused(client.delete_group(delete("")).await);
    assert_eq!((code, message.contains("never left out")), (ErrorCode::Invalid, true));
    assert_eq!(refused(client.delete_group(delete("other")).await).0, ErrorCode::NotFound);
    client.delete_group(delete("sample")).await.unwrap();
    assert!(list.0.subscribe().borrow().is_empty());
}

#[tokio::test]
async fn primitives_of_a_wrong_kind_or_group_are_refused_at_once() {
    let (list, mut client) = serve().await;
    let get =
        GetPrimitiveRequest { kind: "table".into(), name: "a".into(), ..GetPrimitiveRequest::default() };
    let (code, message) = refused(client.get_primitive(get).await);
    assert_eq!(code, ErrorCode::Invalid);
    assert!(message.contains("counter, value, map, set, lock, election"), "{message}");
    list.0.publish(named("default", "sample"));
    let request = ListPrimitivesRequest { group: "other".into(), ..ListPrimitivesRequest::default() };
    assert_eq!(refused(client.list_primitives(request).await).0, ErrorCode::NotFound);
}
