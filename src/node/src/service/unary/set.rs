//! The set.

use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query, scan};
use synod_proto::set::v1::set_server::Set;
use synod_proto::set::v1::{
    AddRequest, AddResponse, ClearRequest, ClearResponse, ContainsRequest, ContainsResponse, LenRequest,
    LenResponse, ListRequest, ListResponse, RemoveRequest, RemoveResponse, WatchRequest, WatchResponse,
};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, event_of};
use super::{Place, UnaryService, addressed};
use crate::service::status;

addressed!(Set, |request| Place::Key(&request.element), AddRequest, RemoveRequest, ContainsRequest);
addressed!(
    Set,
    |request| Place::Partition(request.partition),
    LenRequest,
    ClearRequest,
    ListRequest,
    WatchRequest
);

#[tonic::async_trait]
impl Set for UnaryService {
    type ListStream = Answers<ListResponse>;
    type WatchStream = Answers<WatchResponse>;

    async fn add(&self, request: Request<AddRequest>) -> Result<Response<AddResponse>, Status> {
        self.write(request, command::Operation::SetAdd).await
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<RemoveResponse>, Status> {
        self.write(request, command::Operation::SetRemove).await
    }

    async fn contains(
        &self,
        request: Request<ContainsRequest>,
    ) -> Result<Response<ContainsResponse>, Status> {
        self.read(request, query::Operation::SetContains).await
    }

    async fn len(&self, request: Request<LenRequest>) -> Result<Response<LenResponse>, Status> {
        self.read(request, query::Operation::SetLen).await
    }

    async fn clear(&self, request: Request<ClearRequest>) -> Result<Response<ClearResponse>, Status> {
        self.write(request, command::Operation::SetClear).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        self.items(request, scan::Operation::SetList).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { after_position, element, prefix, .. } = request.get_ref();
        let after = *after_position;
        let filter = Filter::of(element.as_deref(), prefix.as_deref()).map_err(status)?;
        self.events(request, after, filter, |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Set),
        })
        .await
    }
}
