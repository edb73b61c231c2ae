//! The value.

use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query};
use synod_proto::value::v1::value_server::Value;
use synod_proto::value::v1::{
    DeleteRequest, DeleteResponse, GetRequest, GetResponse, InsertRequest, InsertResponse, SetRequest,
    SetResponse, UpdateRequest, UpdateResponse, WatchRequest, WatchResponse,
};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, event_of};
use super::{Place, UnaryService, addressed};

addressed!(
    Value,
    |_request| Place::Name,
    GetRequest,
    SetRequest,
    InsertRequest,
    UpdateRequest,
    DeleteRequest,
    WatchRequest
);

#[tonic::async_trait]
impl Value for UnaryService {
    type WatchStream = Answers<WatchResponse>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.read(request, query::Operation::ValueGet).await
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        self.write(request, command::Operation::ValueSet).await
    }

    async fn insert(&self, request: Request<InsertRequest>) -> Result<Response<InsertResponse>, Status> {
        self.write(request, command::Operation::ValueInsert).await
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        self.write(request, command::Operation::ValueUpdate).await
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        self.write(request, command::Operation::ValueDelete).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let after = request.get_ref().after_position;
        self.events(request, after, Filter::none(), |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Value),
        })
        .await
    }
}
