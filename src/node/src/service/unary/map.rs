//! The map.

use synod_proto::map::v1::map_server::Map;
use synod_proto::map::v1::transact_request::operation::Operation;
use synod_proto::map::v1::{
    ClearRequest, ClearResponse, GetRequest, GetResponse, InsertRequest, InsertResponse, LenRequest,
    LenResponse, ListRequest, ListResponse, PutRequest, PutResponse, RemoveRequest, RemoveResponse,
    TransactRequest, TransactResponse, UpdateRequest, UpdateResponse, WatchRequest, WatchResponse,
};
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query, scan};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, event_of};
use super::{Place, UnaryService, addressed};
use crate::service::status;

addressed!(
    Map,
    |request| Place::Key(&request.key),
    GetRequest,
    PutRequest,
    InsertRequest,
    UpdateRequest,
    RemoveRequest
);
addressed!(
    Map,
    |request| Place::Partition(request.partition),
    LenRequest,
    ClearRequest,
    ListRequest,
    WatchRequest
);
addressed!(Map, |request| first_key(request).map_or(Place::Name, Place::Key), TransactRequest);

/// All keys of a transaction live on one partition, or it is refused there.
fn first_key(request: &TransactRequest) -> Option<&str> {
    let operation = request.operations.first()?.operation.as_ref()?;
    Some(match operation {
        Operation::Put(request) => &request.key,
        Operation::Insert(request) => &request.key,
        Operation::Update(request) => &request.key,
        Operation::Remove(request) => &request.key,
        Operation::Check(request) => &request.key,
    })
}

#[tonic::async_trait]
impl Map for UnaryService {
    type ListStream = Answers<ListResponse>;
    type WatchStream = Answers<WatchResponse>;

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.write(request, command::Operation::MapPut).await
    }

    async fn insert(&self, request: Request<InsertRequest>) -> Result<Response<InsertResponse>, Status> {
        self.write(request, command::Operation::MapInsert).await
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        self.write(request, command::Operation::MapUpdate).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.read(request, query::Operation::MapGet).await
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        self.write(request, command::Operation::MapRemove).await
    }

    async fn len(&self, request: Request<LenRequest>) -> Result<Response<LenResponse>, Status> {
        self.read(request, query::Operation::MapLen).await
    }

    async fn clear(&self, request: Request<ClearRequest>) -> Result<Response<ClearResponse>, Status> {
        self.write(request, command::Operation::MapClear).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        self.items(request, scan::Operation::MapList).await
    }

    async fn transact(
        &self,
        request: Request<TransactRequest>,
    ) -> Result<Response<TransactResponse>, Status> {
        self.write(request, command::Operation::MapTransact).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { after_position, key, prefix, .. } = request.get_ref();
        let after = *after_position;
        let filter = Filter::of(key.as_deref(), prefix.as_deref()).map_err(status)?;
        self.events(request, after, filter, |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Map),
        })
        .await
    }
}
