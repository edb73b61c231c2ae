//! The election.

use synod_proto::election::v1::election_server::Election;
use synod_proto::election::v1::{
    AnointRequest, AnointResponse, DemoteRequest, DemoteResponse, EnterRequest, EnterResponse, EvictRequest,
    EvictResponse, GetRequest, GetResponse, PromoteRequest, PromoteResponse, WatchRequest, WatchResponse,
    WithdrawRequest, WithdrawResponse,
};
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, event_of};
use super::{Place, UnaryService, addressed};

addressed!(
    Election,
    |_request| Place::Name,
    EnterRequest,
    WithdrawRequest,
    AnointRequest,
    PromoteRequest,
    DemoteRequest,
    EvictRequest,
    GetRequest,
    WatchRequest
);

#[tonic::async_trait]
impl Election for UnaryService {
    type WatchStream = Answers<WatchResponse>;

    async fn enter(&self, request: Request<EnterRequest>) -> Result<Response<EnterResponse>, Status> {
        self.write(request, command::Operation::ElectionEnter).await
    }

    async fn withdraw(
        &self,
        request: Request<WithdrawRequest>,
    ) -> Result<Response<WithdrawResponse>, Status> {
        self.write(request, command::Operation::ElectionWithdraw).await
    }

    async fn anoint(&self, request: Request<AnointRequest>) -> Result<Response<AnointResponse>, Status> {
        self.write(request, command::Operation::ElectionAnoint).await
    }

    async fn promote(&self, request: Request<PromoteRequest>) -> Result<Response<PromoteResponse>, Status> {
        self.write(request, command::Operation::ElectionPromote).await
    }

    async fn demote(&self, request: Request<DemoteRequest>) -> Result<Response<DemoteResponse>, Status> {
        self.write(request, command::Operation::ElectionDemote).await
    }

    async fn evict(&self, request: Request<EvictRequest>) -> Result<Response<EvictResponse>, Status> {
        self.write(request, command::Operation::ElectionEvict).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.read(request, query::Operation::ElectionGet).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let after = request.get_ref().after_position;
        self.events(request, after, Filter::none(), |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Election),
        })
        .await
    }
}
