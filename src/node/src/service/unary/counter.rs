//! The counter.

use synod_proto::counter::v1::counter_server::Counter;
use synod_proto::counter::v1::{
    DecrementRequest, DecrementResponse, GetRequest, GetResponse, IncrementRequest, IncrementResponse,
    SetRequest, SetResponse, UpdateRequest, UpdateResponse, WatchRequest, WatchResponse,
};
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, event_of};
use super::{Place, UnaryService, addressed};

addressed!(
    Counter,
    |_request| Place::Name,
    GetRequest,
    SetRequest,
    UpdateRequest,
    IncrementRequest,
    DecrementRequest,
    WatchRequest
);

#[tonic::async_trait]
impl Counter for UnaryService {
    type WatchStream = Answers<WatchResponse>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.read(request, query::Operation::CounterGet).await
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        self.write(request, command::Operation::CounterSet).await
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        self.write(request, command::Operation::CounterUpdate).await
    }

    async fn increment(
        &self,
        request: Request<IncrementRequest>,
    ) -> Result<Response<IncrementResponse>, Status> {
        self.write(request, command::Operation::CounterIncrement).await
    }

    async fn decrement(
        &self,
        request: Request<DecrementRequest>,
    ) -> Result<Response<DecrementResponse>, Status> {
        self.write(request, command::Operation::CounterDecrement).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let after = request.get_ref().after_position;
        self.events(request, after, Filter::none(), |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Counter),
        })
        .await
    }
}
