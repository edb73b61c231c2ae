//! Looking after a lock that is held: renewing its lease, and noticing its loss.

use std::sync::Arc;
use std::time::Duration;

use synod_proto::lock::v1 as wire;
use synod_proto::primitive::v1::query::Operation as Read;
use synod_types::ErrorCode;

use super::LockEvent;
use super::acquire::lock_event;
use super::guard::Grant;
use crate::clock;
use crate::error::Result;
use crate::events::{Filter, Follow, Followed, Start};
use crate::hold::Loss;

/// A lock that is held for less than this is not watched for being taken away, so that short work costs nothing.
const UNWATCHED: Duration = Duration::from_millis(100);

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Keeps a grant until it is lost. `follow` watches its request, if anybody had to before it was granted.
pub(super) async fn keep(grant: Arc<Grant>, follow: Option<Follow>) {
    let loss = tokio::select! {
        loss = grant.hold.until_lost() => loss,
        loss = until_taken_away(&grant, follow) => loss,
        loss = keep_renewing(&grant) => loss,
    };
    grant.hold.lose(loss);
    if loss == Loss::Unconfirmed {
        // If the session lives all the same, others need not wait for its end.
        grant.release_unattended();
    }
}

/// Waits until the server says that the lock is lost.
async fn until_taken_away(grant: &Grant, follow: Option<Follow>) -> Loss {
    let mut follow = match follow {
        Some(follow) => follow,
        None => {
            tokio::time::sleep(UNWATCHED).await;
            let Ok(partition) = grant.handle.group.partition(grant.partition) else {
                return std::future::pending().await;
            };
            Follow::new(partition, grant.handle.id(), Filter::Key(grant.request_id.clone()), Start::Now)
        }
    };
    loop {
        match follow.next().await {
            // From here on everything is seen; what happened before is asked.
            Ok(Followed::Started(_)) => {
                if !is_still_current(grant).await {
                    return Loss::Forced;
                }
            }
            Ok(Followed::Event(event)) => match lock_event(event.event) {
                Some(LockEvent::Lost { fence, loss }) if fence == grant.fence => return loss,
                Some(LockEvent::Released { fence }) if fence == grant.fence => return Loss::Released,
                _ => {}
            },
            Ok(Followed::Progress(_)) => {}
            Err(error) if error.code() == ErrorCode::Compacted => {}
            // The client is closed, and the session with it.
            Err(_) => return std::future::pending().await,
        }
    }
}

async fn is_still_current(grant: &Grant) -> bool {
    loop {
        match is_current(grant).await {
            Ok(is_current) => return is_current,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Asks the server whether the lock is held under the fence of the grant.
pub(super) async fn is_current(grant: &Grant) -> Result<bool> {
    let check = Read::LockCheckFence(wire::CheckFenceRequest { primitive: None, fence: grant.fence.get() });
    let response: Option<wire::CheckFenceResponse> = grant.handle.read(grant.partition, check).await?;
    Ok(response.is_some_and(|response| response.current))
}

/// Renews the lease, if there is one, until that is refused.
async fn keep_renewing(grant: &Grant) -> Loss {
    let Some(lease) = grant.hold.lease() else { return std::future::pending().await };
    let mut handle = grant.handle.clone();
    handle.timeout = handle.timeout.min(lease.length());
    loop {
        tokio::time::sleep(lease.length() / 3).await;
        loop {
            let sent_at = clock::now();
            let request_id = grant.request_id.clone();
            match Grant::renew(&handle, grant.partition, request_id, grant.fence, grant.under()).await {
                Ok(()) => {
                    grant.hold.renewed(sent_at);
                    break;
                }
                Err(error) => match error.code() {
                    ErrorCode::NotHeld => return Loss::LeaseExpired,
                    ErrorCode::SessionNotFound => return Loss::SessionEnded,
                    ErrorCode::UnknownPrimitive => return Loss::Forced,
                    _ => tokio::time::sleep(RETRY.min(lease.length() / 10)).await,
                },
            }
        }
    }
}
