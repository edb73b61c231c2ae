//! Which call needs which right. The service is called without sockets, so that time can be told to pass.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use synod_proto::controller::v1::controller_client::ControllerClient;
use synod_proto::controller::v1::{
    CreateGroupRequest, CreatePrimitiveRequest, DeleteGroupRequest, DeletePrimitiveRequest, GetGroupRequest,
    GetPrimitiveRequest, ListGroupsRequest, ListPrimitivesRequest, WatchGroupsRequest,
};
use synod_types::{Error, ErrorCode};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use super::{List, named, refused};
use crate::controller::access::{Access, Resource, Reviews, Right, User, Verb};
use crate::controller::{Catalog, ControllerService};

/// Knows one user, who may do what is in the list, and remembers what was asked last.
#[derive(Clone, Default)]
struct OneUser {
    may: Arc<Mutex<Vec<Right>>>,
    asked: Arc<Mutex<Option<Right>>>,
}

#[tonic::async_trait]
impl Reviews for OneUser {
    async fn identify(&self, token: &str) -> Result<Option<User>, Error> {
        Ok((token == "token").then(|| User { name: "bob".into(), ..User::default() }))
    }

    async fn allows(&self, _: &User, right: &Right) -> Result<bool, Error> {
        *self.asked.lock().unwrap() = Some(right.clone());
        Ok(self.may.lock().unwrap().contains(right))
    }
}

/// A client of the service that sends a token.
macro_rules! client {
    ($list:expr, $reviews:expr, $token:expr) => {{
        let header: MetadataValue<Ascii> = format!("Bearer {}", $token).parse().unwrap();
        let service = ControllerService::server($list.clone(), Access::reviewed($reviews.clone()));
        ControllerClient::with_interceptor(service, move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", header.clone());
            Ok::<_, Status>(request)
        })
    }};
}

fn list() -> Arc<List> {
    let list = Arc::new(List(Catalog::new(0)));
    list.0.publish(named("shop", "orders"));
    list.0.publish(named("bank", "books"));
    list
}

const GROUP: &str = "\
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: stock, namespace: shop}
spec: {partitions: 1}
";
const PRIMITIVE: &str = "\
apiVersion: synod.dev/v1alpha1
kind: Primitive
metadata: {name: users, namespace: shop}
spec: {group: orders, kind: Map}
";

#[tokio::test]
async fn each_call_needs_its_right_and_is_refused_without() {
    let (list, reviews) = (list(), OneUser::default());
    let mut client = client!(list, reviews, "token");
    let (shop, orders) = (|| "shop".to_owned(), || "orders".to_owned());
    macro_rules! needs {
        ($call:ident($request:expr), $verb:ident $resource:ident in $namespace:expr, $name:expr) => {
            let (code, message) = refused(client.$call($request).await.map(drop));
            assert_eq!(code, ErrorCode::Forbidden, "{message}");
            assert!(message.starts_with("\"bob\" may not "), "{message}");
            let right = Right::new(Verb::$verb, Resource::$resource, $namespace).named($name);
            assert_eq!(reviews.asked.lock().unwrap().take(), Some(right), stringify!($call));
        };
    }
    let get = |namespace: String, name: String| GetGroupRequest { namespace, name };
    needs!(get_group(get(shop(), orders())), Get PartitionGroups in "shop", "orders");
    needs!(get_group(get(String::new(), String::new())), Get PartitionGroups in "default", "");
    needs!(list_groups(ListGroupsRequest { namespace: shop() }), List PartitionGroups in "shop", "");
    needs!(list_groups(ListGroupsRequest::default()), List PartitionGroups in "", "");
    let watch = WatchGroupsRequest { namespace: shop(), name: orders() };
    needs!(watch_groups(watch), Watch PartitionGroups in "shop", "orders");
    needs!(watch_groups(WatchGroupsRequest::default()), Watch PartitionGroups in "", "");
    let create = CreateGroupRequest { manifest: GROUP.into() };
    needs!(create_group(create), Create PartitionGroups in "shop", "");
    let delete = DeleteGroupRequest { namespace: shop(), name: orders() };
    needs!(delete_group(delete), Delete PartitionGroups in "shop", "orders");

    let primitives =
        ListPrimitivesRequest { namespace: shop(), group: orders(), ..ListPrimitivesRequest::default() };
    needs!(list_primitives(primitives), List Primitives in "shop", "");
    let get = GetPrimitiveRequest { namespace: shop(), kind: "map".into(), ..GetPrimitiveRequest::default() };
    needs!(get_primitive(get), Get Primitives in "shop", "");
    let create = CreatePrimitiveRequest { manifest: PRIMITIVE.into() };
    needs!(create_primitive(create), Create Primitives in "shop", "");
    let delete = DeletePrimitiveRequest { kind: "map".into(), ..DeletePrimitiveRequest::default() };
    needs!(delete_primitive(delete), Delete Primitives in "default", "");
    assert_eq!(list.0.subscribe().borrow().len(), 2, "nothing was done");
}

#[tokio::test]
async fn a_caller_sees_his_namespace_and_hears_nothing_of_others() {
    let (list, reviews) = (list(), OneUser::default());
    let groups = |verb, namespace| Right::new(verb, Resource::PartitionGroups, namespace);
    let rights = [groups(Verb::List, "shop"), groups(Verb::Get, "shop"), groups(Verb::Get, "default")];
    reviews.may.lock().unwrap().extend(rights);
    let mut client = client!(list, reviews, "token");
    let listed = client.list_groups(ListGroupsRequest { namespace: "shop".into() }).await.unwrap();
    assert_eq!(listed.into_inner().groups.len(), 1);
    let get = |namespace: &str| GetGroupRequest { namespace: namespace.into(), name: String::new() };
    assert_eq!(client.get_group(get("shop")).await.unwrap().into_inner().name, "orders");
    let (code, message) = refused(client.get_group(get("")).await);
    let nothing = (ErrorCode::NotFound, "there is no group in namespace \"default\"".to_owned());
    assert_eq!((code, message), nothing);
    let (code, _) = refused(client!(list, reviews, "other").get_group(get("shop")).await);
    assert_eq!(code, ErrorCode::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_right_is_gone() {
    let (list, reviews) = (list(), OneUser::default());
    let right = Right::new(Verb::Watch, Resource::PartitionGroups, "shop");
    reviews.may.lock().unwrap().push(right);
    let mut client = client!(list, reviews, "token");
    let request = || WatchGroupsRequest { namespace: "shop".into(), name: String::new() };
    let mut watch = client.watch_groups(request()).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().group.unwrap().name, "orders");
    let patience = Duration::from_secs(300);
    assert!(timeout(patience, watch.next()).await.is_err(), "it goes on while the right is there");
    reviews.may.lock().unwrap().clear();
    assert!(timeout(patience, watch.next()).await.unwrap().is_none());
    assert_eq!(refused(client.watch_groups(request()).await.map(drop)).0, ErrorCode::Forbidden);
}
