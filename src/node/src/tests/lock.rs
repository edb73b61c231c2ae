//! Locks by calls: a call that acquires waits with the request.

use synod_proto::lock::v1::acquire_response::Outcome;
use synod_proto::lock::v1::lock_client::LockClient;
use synod_proto::lock::v1::{
    AcquireRequest, AcquireResponse, CheckFenceRequest, ForceReleaseRequest, GetRequest, Mode,
    ReleaseRequest, RenewRequest,
};
use tonic::{Code, Request};

use super::*;

fn acquire(request_id: &str) -> AcquireRequest {
    AcquireRequest {
        primitive: named("deploy"),
        request_id: request_id.into(),
        mode: Mode::Write.into(),
        lease_ms: Some(60_000),
        ..AcquireRequest::default()
    }
}

fn release(request_id: &str, fence: u64) -> ReleaseRequest {
    ReleaseRequest { primitive: named("deploy"), request_id: request_id.into(), fence }
}

fn fence(response: &AcquireResponse) -> u64 {
    match &response.outcome {
        Some(Outcome::Granted(granted)) => granted.fence,
        other => panic!("{other:?}"),
    }
}

async fn locks(cluster: &Cluster, number: usize) -> LockClient<Channel> {
    LockClient::new(cluster.channel(number).await)
}

/// Waits until so many requests are in the queue.
async fn until_queued(client: &mut LockClient<Channel>, count: usize) {
    let begin = Instant::now();
    loop {
        let get = GetRequest { primitive: named("deploy") };
        let queue = client.get(get).await.unwrap().into_inner().queue;
        if queue.len() == count {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{queue:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_call_waits_until_the_lock_is_granted() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let mut client = locks(&cluster, 0).await;
    let first = fence(&client.acquire(acquire("a")).await.unwrap().into_inner());
    let mut waiting = Vec::new();
    for (number, request_id) in [(0, "b"), (1, "c"), (2, "d")] {
        let mut waiter = locks(&cluster, number).await;
        waiting.push(tokio::spawn(async move { waiter.acquire(acquire(request_id)).await }));
        until_queued(&mut client, number + 1).await;
    }
    let mut last = first;
    for (request_id, waiter) in ["a", "b", "c"].into_iter().zip(waiting) {
        client.release(release(request_id, last)).await.unwrap();
        let granted = fence(&waiter.await.unwrap().unwrap().into_inner());
        assert!(granted > last);
        last = granted;
    }
    let check = |fence| CheckFenceRequest { primitive: named("deploy"), fence };
    assert!(client.check_fence(check(last)).await.unwrap().into_inner().current);
    assert!(!client.check_fence(check(first)).await.unwrap().into_inner().current);
    let renew = RenewRequest {
        primitive: named("deploy"),
        request_id: "d".into(),
        fence: last,
        lease_ms: Some(90_000),
    };
    assert_eq!(client.renew(renew).await.unwrap().into_inner().lease_ms, 90_000);
    let force = ForceReleaseRequest { primitive: named("deploy"), fence: last };
    client.force_release(force).await.unwrap();
    assert!(!client.check_fence(check(last)).await.unwrap().into_inner().current);
}

#[tokio::test]
async fn a_wait_ends_when_the_request_wants_it_to() {
    let cluster = Cluster::of_partitions(1, 1).await;
    let mut client = locks(&cluster, 0).await;
    client.acquire(acquire("a")).await.unwrap();
    for max_wait_ms in [0, 50] {
        let request_id = format!("waits {max_wait_ms}");
        let request = AcquireRequest { max_wait_ms: Some(max_wait_ms), ..acquire(&request_id) };
        let ended = client.acquire(request).await.unwrap_err();
        assert_eq!((code(&ended), ended.code()), (ErrorCode::Expired, Code::DeadlineExceeded), "{ended}");
    }
    let mut other = locks(&cluster, 0).await;
    let waiter = tokio::spawn(async move { other.acquire(acquire("b")).await });
    until_queued(&mut client, 1).await;
    client.release(release("b", 0)).await.unwrap();
    assert_eq!(code(&waiter.await.unwrap().unwrap_err()), ErrorCode::Cancelled);
}

#[tokio::test]
async fn whoever_goes_away_is_withdrawn() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let mut client = locks(&cluster, 0).await;
    let held = fence(&client.acquire(acquire("a")).await.unwrap().into_inner());

    // By a deadline, and by a connection that breaks.
    let mut late = locks(&cluster, 1).await;
    let mut request = Request::new(acquire("late"));
    request.set_timeout(Duration::from_millis(200));
    late.acquire(request).await.unwrap_err();
    let mut gone = locks(&cluster, 2).await;
    let call = tokio::spawn(async move { gone.acquire(acquire("gone")).await });
    let mut patient = locks(&cluster, 2).await;
    let begin = Instant::now();
    loop {
        let get = GetRequest { primitive: named("deploy") };
        let queue = client.get(get).await.unwrap().into_inner().queue;
        if queue.iter().any(|waiter| waiter.request_id == "gone") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{queue:?}");
        sleep(Duration::from_millis(5)).await;
    }
    call.abort();
    until_queued(&mut client, 0).await;

    let waiter = tokio::spawn(async move { patient.acquire(acquire("patient")).await });
    until_queued(&mut client, 1).await;
    client.release(release("a", held)).await.unwrap();
    waiter.await.unwrap().unwrap();
    let withdrawn = client.acquire(acquire("gone")).await.unwrap_err();
    assert_eq!(code(&withdrawn), ErrorCode::NotHeld);
}

#[tokio::test]
async fn a_wait_is_taken_up_again_at_another_node() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let mut client = locks(&cluster, leader).await;
    let held = fence(&client.acquire(acquire("a")).await.unwrap().into_inner());
    let mut waiter = locks(&cluster, one).await;
    let call = tokio::spawn(async move { waiter.acquire(acquire("b")).await });
    until_queued(&mut client, 1).await;
    cluster.stop(one).await;
    let interrupted = call.await.unwrap().unwrap_err();
    assert_eq!(interrupted.code(), Code::Unavailable, "{interrupted}");

    let mut waiter = locks(&cluster, other).await;
    let call = tokio::spawn(async move { waiter.acquire(acquire("b")).await });
    until_queued(&mut client, 1).await;
    client.release(release("a", held)).await.unwrap();
    assert!(fence(&call.await.unwrap().unwrap().into_inner()) > held);
}
