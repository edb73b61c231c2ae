//! The lock.
//!
//! A call that acquires waits with the request: until the grant, or until the wait is over. Whoever asks without a
//! session and goes away before, by breaking the connection or by his deadline, has his request withdrawn, so that
//! nothing is granted to nobody. A request of a session keeps its place, which ends with the session: the caller asks
//! again under the same request id to wait on, or releases it. So does every caller whose wait ends with UNAVAILABLE,
//! because the node that waited with him goes down.

use synod_proto::lock::v1::acquire_response::{Granted, Outcome, Queued};
use synod_proto::lock::v1::event::{Event as What, Reason};
use synod_proto::lock::v1::lock_server::Lock;
use synod_proto::lock::v1::{
    AcquireRequest, AcquireResponse, CheckFenceRequest, CheckFenceResponse, ForceReleaseRequest,
    ForceReleaseResponse, GetRequest, GetResponse, ReleaseRequest, ReleaseResponse, RenewRequest,
    RenewResponse, WatchRequest, WatchResponse,
};
use synod_proto::primitive::v1::event::Event;
use synod_proto::primitive::v1::{command, query};
use synod_proto::session::v1::{Reply, reply};
use synod_types::{Error, ErrorCode};
use tonic::{Request, Response, Status};

use super::stream::{Answers, Filter, changes, event_of, interrupted, watch};
use super::target::Target;
use super::{Place, Ticket, UnaryService, addressed, decode, result};
use crate::service::status;

addressed!(
    Lock,
    |_request| Place::Name,
    AcquireRequest,
    RenewRequest,
    ReleaseRequest,
    ForceReleaseRequest,
    GetRequest,
    CheckFenceRequest,
    WatchRequest
);

#[tonic::async_trait]
impl Lock for UnaryService {
    type WatchStream = Answers<WatchResponse>;

    async fn acquire(&self, request: Request<AcquireRequest>) -> Result<Response<AcquireResponse>, Status> {
        let ticket = Ticket::of(request.metadata()).map_err(status)?;
        let (target, message) = Target::of(&self.host, request).map_err(status)?;
        let mut waiter = Waiter { target, ticket, request_id: message.request_id.clone(), withdraws: true };
        let outcome = waiter.acquire(self, message).await;
        let has_time = !matches!(&outcome, Err(status) if status.code() == tonic::Code::DeadlineExceeded);
        waiter.withdraws = !has_time;
        outcome.map(|granted| Response::new(AcquireResponse { outcome: Some(Outcome::Granted(granted)) }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        self.write(request, command::Operation::LockRenew).await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        self.write(request, command::Operation::LockRelease).await
    }

    async fn force_release(
        &self,
        request: Request<ForceReleaseRequest>,
    ) -> Result<Response<ForceReleaseResponse>, Status> {
        self.write(request, command::Operation::LockForceRelease).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.read(request, query::Operation::LockGet).await
    }

    async fn check_fence(
        &self,
        request: Request<CheckFenceRequest>,
    ) -> Result<Response<CheckFenceResponse>, Status> {
        self.read(request, query::Operation::LockCheckFence).await
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { after_position, request_id, .. } = request.get_ref();
        let after = *after_position;
        let filter = Filter::of(request_id.as_deref(), None).map_err(status)?;
        self.events(request, after, filter, |position, index, event| WatchResponse {
            position,
            index,
            event: event_of!(event, Lock),
        })
        .await
    }
}

/// Somebody who acquires.
struct Waiter {
    target: Target,
    ticket: Ticket,
    request_id: String,
    /// Whether the request is to be withdrawn when he goes away.
    withdraws: bool,
}

impl Waiter {
    async fn acquire(&self, service: &UnaryService, request: AcquireRequest) -> Result<Granted, Status> {
        let operation = command::Operation::LockAcquire(request);
        let reply = service.write_to(&self.target, self.ticket, operation).await?;
        let index = reply.index;
        let answer: AcquireResponse = decode(result(reply)?)?;
        match answer.outcome {
            Some(Outcome::Granted(granted)) => Ok(granted),
            Some(Outcome::Queued(Queued { position, .. })) => self.wait(position, index).await,
            None => Err(status(Error::new(ErrorCode::Internal, "the answer is not one to an acquisition"))),
        }
    }

    /// Waits for what becomes of the request after a position in the history.
    async fn wait(&self, position: u64, index: u64) -> Result<Granted, Status> {
        let filter = Filter::of(Some(&self.request_id), None).map_err(status)?;
        let (mut call, mut outgoing) = watch(&self.target, position, filter, index).await?;
        loop {
            let mut outcome = None;
            for delivery in outgoing.deliveries {
                changes(delivery, |_, _, event| {
                    let event = event_of!(event, Lock).and_then(|event| event.event);
                    outcome = outcome.take().or_else(|| self.outcome(event?));
                });
            }
            let lost = outgoing.replies.into_iter().find_map(|reply| match reply {
                Reply { body: Some(reply::Body::Error(error)), .. } => Some(Err(error.into())),
                _ => None,
            });
            if let Some(outcome) = outcome.or(lost) {
                return outcome;
            }
            outgoing = call.next().await.map_err(interrupted)?;
        }
    }

    /// What an event means for who waits.
    fn outcome(&self, event: What) -> Option<Result<Granted, Status>> {
        let id = &self.request_id;
        let failed =
            |code, what: &str| Some(Err(status(Error::new(code, format!("request \"{id}\" {what}")))));
        match event {
            What::Granted(granted) => Some(Ok(Granted { fence: granted.fence, lease_ms: granted.lease_ms })),
            What::GaveUp(end) => match end.reason() {
                Reason::WaitExpired => failed(ErrorCode::Expired, "has waited as long as it wanted"),
                Reason::SessionEnded => failed(ErrorCode::SessionNotFound, "ended with its session"),
                _ => failed(ErrorCode::Cancelled, "was withdrawn"),
            },
            _ => None,
        }
    }
}

impl Drop for Waiter {
    /// The caller is gone: nobody is to be granted. One that was granted meanwhile is released.
    fn drop(&mut self) {
        if !self.withdraws || self.ticket.is_of_a_session() {
            return;
        }
        let target = self.target.for_later();
        let release = ReleaseRequest { request_id: self.request_id.clone(), ..ReleaseRequest::default() };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = target.settle(command::Operation::LockRelease(release)).await {
                tracing::warn!(error = error.message, "a request for a lock could not be withdrawn");
            }
        });
    }
}
