//! The gRPC service: checks what is asked, answers from the catalog, and passes changes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use synod_api::manifest::{self, Object};
use synod_proto::controller::v1::controller_server::{Controller, ControllerServer};
use synod_proto::controller::v1::{
    CreateGroupRequest, CreatePrimitiveRequest, DeleteGroupRequest, DeleteGroupResponse,
    DeletePrimitiveRequest, DeletePrimitiveResponse, GetGroupRequest, GetPrimitiveRequest, Group,
    ListGroupsRequest, ListGroupsResponse, ListPrimitivesRequest, ListPrimitivesResponse, Primitive,
    WatchGroupsRequest, WatchGroupsResponse,
};
use synod_proto::types::v1 as wire;
use synod_types::{DEFAULT_APPLICATION, DEFAULT_NAMESPACE, Error, ErrorCode, PrimitiveKind};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::access::{Access, Caller, Resource, Right, Verb};
use super::catalog::{GroupKey, Groups};
use super::directory::Directory;
use super::primitives::{PrimitiveKey, create_primitive, delete_primitive, list_primitives};

/// The controller service over a directory.
pub struct ControllerService<D> {
    directory: Arc<D>,
    access: Access,
}

impl<D: Directory> ControllerService<D> {
    /// The service over a directory, for those who have access, for a tonic server.
    pub fn server(directory: Arc<D>, access: Access) -> ControllerServer<Self> {
        ControllerServer::new(Self { directory, access }).max_decoding_message_size(manifest::FILE_BYTES_MAX)
    }

    /// Who sends a request, and what is asked.
    async fn open<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let caller = self.access.identify(request.metadata()).await.map_err(status)?;
        Ok((caller, request.into_inner()))
    }

    /// What is asked, of somebody who may.
    async fn permit<T>(&self, request: Request<T>, right: impl FnOnce(&T) -> Right) -> Result<T, Status> {
        let (caller, request) = self.open(request).await?;
        caller.check(&right(&request)).await.map_err(status)?;
        Ok(request)
    }

    /// The group that is meant: the name may be left out where the namespace has one.
    fn resolve(&self, namespace: &str, name: &str) -> Result<(GroupKey, Arc<Group>), Error> {
        let namespace = or_default(namespace, DEFAULT_NAMESPACE);
        let groups = self.directory.groups().borrow().clone();
        let here: Vec<_> = groups.iter().filter(|((space, _), _)| *space == namespace).collect();
        let found = match here.as_slice() {
            [one] if name.is_empty() => Some(one),
            _ => here.iter().find(|((_, candidate), _)| candidate == name),
        };
        if let Some((key, group)) = found {
            return Ok(((*key).clone(), (*group).clone()));
        }
        let names: Vec<_> = here.iter().map(|((_, name), _)| name.as_str()).collect();
        Err(match (names.is_empty(), name.is_empty()) {
            (true, _) => {
                let elsewhere = self.elsewhere(&groups);
                let message = format!("there is no group in namespace \"{namespace}\"{elsewhere}");
                Error::new(ErrorCode::NotFound, message)
            }
            (false, true) => Error::new(
                ErrorCode::Invalid,
                format!(
                    "namespace \"{namespace}\" has several groups, say which is meant: {}",
                    names.join(", ")
                ),
            ),
            (false, false) => Error::new(
                ErrorCode::NotFound,
                format!(
                    "there is no group \"{name}\" in namespace \"{namespace}\", which has {}",
                    names.join(", ")
                ),
            ),
        })
    }

    /// Where there are groups, for whoever may know.
    fn elsewhere(&self, groups: &Groups) -> String {
        let others = namespaces(groups).into_iter().collect::<Vec<_>>().join(", ");
        match (self.access.is_open(), others.is_empty()) {
            (false, _) => String::new(),
            (true, true) => ", nor in any other".to_owned(),
            (true, false) => format!(", there are some in {others}"),
        }
    }

    async fn primitives(&self, key: &GroupKey, application: &str) -> Result<Vec<Primitive>, Error> {
        list_primitives(self.directory.groups(), key, application).await
    }
}

/// To do something with the group, or groups, of a namespace.
fn with_group(verb: Verb, namespace: &str, name: &str) -> Right {
    let namespace = or_default(namespace, DEFAULT_NAMESPACE);
    Right::new(verb, Resource::PartitionGroups, namespace).named(name)
}

/// To do something with the primitives of the groups of a namespace.
fn with_primitives(verb: Verb, namespace: &str) -> Right {
    Right::new(verb, Resource::Primitives, or_default(namespace, DEFAULT_NAMESPACE))
}

fn or_default<'a>(given: &'a str, default: &'a str) -> &'a str {
    if given.is_empty() { default } else { given }
}

fn namespaces(groups: &Groups) -> BTreeSet<&str> {
    groups.keys().map(|(namespace, _)| namespace.as_str()).collect()
}

fn status(error: Error) -> Status {
    wire::Error::from(error).into()
}

/// The one object of a manifest.
fn one_object(text: &str) -> Result<Object, Error> {
    let read = manifest::read("the manifest", text.as_bytes());
    let mut manifests = read.map_err(|error| Error::new(ErrorCode::Invalid, error.to_string()))?;
    let found = manifests.len();
    match manifests.pop() {
        Some(manifest) if found == 1 => Ok(manifest.object),
        _ => {
            let message = format!("the manifest holds {found} objects: send one at a time");
            Err(Error::new(ErrorCode::Invalid, message))
        }
    }
}

/// A kind as people spell it: `map`, or `Map` as in manifests.
fn kind_of(text: &str) -> Result<PrimitiveKind, Error> {
    text.to_lowercase().parse()
}

fn wrong_kind(object: &Object, wanted: &str) -> Error {
    Error::new(ErrorCode::Invalid, format!("the manifest is a {}, not a {wanted}", object.kind()))
}

#[tonic::async_trait]
impl<D: Directory> Controller for ControllerService<D> {
    type WatchGroupsStream = BoxStream<'static, Result<WatchGroupsResponse, Status>>;

    async fn list_groups(
        &self,
        request: Request<ListGroupsRequest>,
    ) -> Result<Response<ListGroupsResponse>, Status> {
        let listing =
            |it: &ListGroupsRequest| Right::new(Verb::List, Resource::PartitionGroups, &it.namespace);
        let ListGroupsRequest { namespace } = self.permit(request, listing).await?;
        let groups = self.directory.groups().borrow().clone();
        let here = groups.values().filter(|group| namespace.is_empty() || group.namespace == namespace);
        Ok(Response::new(ListGroupsResponse { groups: here.map(|group| (**group).clone()).collect() }))
    }

    async fn get_group(&self, request: Request<GetGroupRequest>) -> Result<Response<Group>, Status> {
        let reading = |it: &GetGroupRequest| with_group(Verb::Get, &it.namespace, &it.name);
        let GetGroupRequest { namespace, name } = self.permit(request, reading).await?;
        let (_, group) = self.resolve(&namespace, &name).map_err(status)?;
        Ok(Response::new((*group).clone()))
    }

    async fn watch_groups(
        &self,
        request: Request<WatchGroupsRequest>,
    ) -> Result<Response<Self::WatchGroupsStream>, Status> {
        let (caller, filter) = self.open(request).await?;
        let right = Right::new(Verb::Watch, Resource::PartitionGroups, &filter.namespace).named(&filter.name);
        caller.check(&right).await.map_err(status)?;
        let watcher =
            Watcher { filter, groups: self.directory.groups(), sent: BTreeMap::new(), is_new: true };
        let batches = futures::stream::unfold(watcher, |mut watcher| async move {
            let changes = watcher.next().await?;
            Some((futures::stream::iter(changes.into_iter().map(Ok)), watcher))
        });
        // Who watches again is told what he lacks.
        Ok(Response::new(batches.flatten().take_until(Box::pin(caller.until_refused(right))).boxed()))
    }

    async fn create_group(&self, request: Request<CreateGroupRequest>) -> Result<Response<Group>, Status> {
        let (caller, CreateGroupRequest { manifest }) = self.open(request).await?;
        let object = one_object(&manifest).map_err(status)?;
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        caller.check(&with_group(Verb::Create, &namespace, "")).await.map_err(status)?;
        let Object::PartitionGroup(group) = object else {
            return Err(status(wrong_kind(&object, "PartitionGroup")));
        };
        self.directory.create_group(*group).await.map_err(status)?;
        let (_, group) = self.resolve(&namespace, &name).map_err(status)?;
        Ok(Response::new((*group).clone()))
    }

    async fn delete_group(
        &self,
        request: Request<DeleteGroupRequest>,
    ) -> Result<Response<DeleteGroupResponse>, Status> {
        let deleting = |it: &DeleteGroupRequest| with_group(Verb::Delete, &it.namespace, &it.name);
        let DeleteGroupRequest { namespace, name } = self.permit(request, deleting).await?;
        if name.is_empty() {
            let message = "say which group is to be deleted: here the name is never left out";
            return Err(status(Error::new(ErrorCode::Invalid, message)));
        }
        let ((namespace, name), _) = self.resolve(&namespace, &name).map_err(status)?;
        self.directory.delete_group(&namespace, &name).await.map_err(status)?;
        Ok(Response::new(DeleteGroupResponse {}))
    }

    async fn list_primitives(
        &self,
        request: Request<ListPrimitivesRequest>,
    ) -> Result<Response<ListPrimitivesResponse>, Status> {
        let listing = |it: &ListPrimitivesRequest| with_primitives(Verb::List, &it.namespace);
        let ListPrimitivesRequest { namespace, group, application } = self.permit(request, listing).await?;
        let (key, _) = self.resolve(&namespace, &group).map_err(status)?;
        let primitives = self.primitives(&key, &application).await.map_err(status)?;
        Ok(Response::new(ListPrimitivesResponse { primitives }))
    }

    async fn get_primitive(
        &self,
        request: Request<GetPrimitiveRequest>,
    ) -> Result<Response<Primitive>, Status> {
        let reading = |it: &GetPrimitiveRequest| with_primitives(Verb::Get, &it.namespace);
        let GetPrimitiveRequest { namespace, group, application, kind, name } =
            self.permit(request, reading).await?;
        let kind = kind_of(&kind).map_err(status)?;
        let application = or_default(&application, DEFAULT_APPLICATION);
        let (key, _) = self.resolve(&namespace, &group).map_err(status)?;
        let found = self.primitives(&key, application).await.map_err(status)?;
        let fits = |primitive: &Primitive| primitive.kind == kind.as_str() && primitive.name == name;
        found.into_iter().find(fits).map(Response::new).ok_or_else(|| {
            let message =
                format!("no {kind} \"{name}\" in application \"{application}\" of group \"{}\"", key.1);
            status(Error::new(ErrorCode::NotFound, message))
        })
    }

    async fn create_primitive(
        &self,
        request: Request<CreatePrimitiveRequest>,
    ) -> Result<Response<Primitive>, Status> {
        let (caller, CreatePrimitiveRequest { manifest }) = self.open(request).await?;
        let object = one_object(&manifest).map_err(status)?;
        let namespace = object.namespace().to_owned();
        caller.check(&with_primitives(Verb::Create, &namespace)).await.map_err(status)?;
        let Object::Primitive(declared) = object else {
            return Err(status(wrong_kind(&object, "Primitive")));
        };
        let (key, _) = self.resolve(&namespace, &declared.spec.group).map_err(status)?;
        let primitive = PrimitiveKey::from(&*declared);
        let partitions = create_primitive(self.directory.groups(), &key, &primitive).await.map_err(status)?;
        let PrimitiveKey { application, kind, name } = primitive;
        let (namespace, group) = key;
        let kind = kind.as_str().to_owned();
        Ok(Response::new(Primitive { namespace, group, application, kind, name, partitions }))
    }

    async fn delete_primitive(
        &self,
        request: Request<DeletePrimitiveRequest>,
    ) -> Result<Response<DeletePrimitiveResponse>, Status> {
        let deleting = |it: &DeletePrimitiveRequest| with_primitives(Verb::Delete, &it.namespace);
        let DeletePrimitiveRequest { namespace, group, application, kind, name } =
            self.permit(request, deleting).await?;
        let kind = kind_of(&kind).map_err(status)?;
        let application = or_default(&application, DEFAULT_APPLICATION).to_owned();
        let (key, _) = self.resolve(&namespace, &group).map_err(status)?;
        let primitive = PrimitiveKey { application, kind, name };
        delete_primitive(self.directory.groups(), &key, &primitive).await.map_err(status)?;
        Ok(Response::new(DeletePrimitiveResponse {}))
    }
}

/// Somebody who watches groups, and what he was told last.
struct Watcher {
    filter: WatchGroupsRequest,
    groups: watch::Receiver<Groups>,
    sent: BTreeMap<GroupKey, Arc<Group>>,
    is_new: bool,
}

impl Watcher {
    /// What changed since the last time, as soon as anything has; nothing when there will be no more.
    async fn next(&mut self) -> Option<Vec<WatchGroupsResponse>> {
        loop {
            if !std::mem::take(&mut self.is_new) {
                self.groups.changed().await.ok()?;
            }
            let groups = self.groups.borrow_and_update().clone();
            let changes = self.changes(&groups);
            if !changes.is_empty() {
                return Some(changes);
            }
        }
    }

    fn changes(&mut self, groups: &Groups) -> Vec<WatchGroupsResponse> {
        let mut changes = Vec::new();
        self.sent.retain(|key, last| {
            let is_there = groups.contains_key(key);
            if !is_there {
                changes.push(WatchGroupsResponse { group: Some((**last).clone()), deleted: true });
            }
            is_there
        });
        let WatchGroupsRequest { namespace, name } = &self.filter;
        for (key, group) in groups.iter() {
            let fits = (namespace.is_empty() || *namespace == key.0) && (name.is_empty() || *name == key.1);
            let is_news = self.sent.get(key).is_none_or(|last| last.revision != group.revision);
            if fits && is_news {
                changes.push(WatchGroupsResponse { group: Some((**group).clone()), deleted: false });
                self.sent.insert(key.clone(), group.clone());
            }
        }
        changes
    }
}
