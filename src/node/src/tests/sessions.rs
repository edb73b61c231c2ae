//! Writes of a session by calls: executed once, however often they are sent.

use synod_proto::lock::v1::lock_client::LockClient;
use synod_proto::lock::v1::{AcquireRequest, GetRequest as LockGetRequest, Mode};
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{CloseRequest, KeepAliveRequest, OpenRequest};
use tonic::Request;

use super::*;

async fn open(cluster: &Cluster, number: usize) -> u64 {
    let mut client = SessionClient::new(cluster.channel(number).await);
    let request =
        OpenRequest { group: GROUP.into(), partition: 0, timeout_ms: 30_000, client: "test".into() };
    client.open(request).await.unwrap().into_inner().session_id
}

fn within<T>(message: T, session: u64, sequence: u64) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("synod-session", session.into());
    request.metadata_mut().insert("synod-sequence", sequence.into());
    request
}

fn one_more() -> IncrementRequest {
    IncrementRequest { primitive: named("hits"), delta: 1 }
}

#[tokio::test]
async fn a_write_that_is_sent_again_is_executed_once() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let session = open(&cluster, 0).await;
    for sequence in 1..=5 {
        for number in 0..3 {
            let mut client = cluster.counter(number).await;
            let answer = client.increment(within(one_more(), session, sequence)).await.unwrap();
            assert_eq!(answer.into_inner().value, sequence as i64, "through node {number}");
        }
    }
    // Also by the next leader.
    let leader = cluster.leader().await;
    cluster.stop(leader).await;
    let next = cluster.leader().await;
    let mut client = cluster.counter(next).await;
    assert_eq!(client.increment(within(one_more(), session, 5)).await.unwrap().into_inner().value, 5);
    assert_eq!(client.increment(within(one_more(), session, 6)).await.unwrap().into_inner().value, 6);

    let other = IncrementRequest { primitive: named("hits"), delta: 2 };
    let refused = client.increment(within(other, session, 6)).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::Invalid, "{refused}");
    let mut acknowledging = within(one_more(), session, 7);
    acknowledging.metadata_mut().insert("synod-acknowledged", 6.into());
    assert_eq!(client.increment(acknowledging).await.unwrap().into_inner().value, 7);
    let late = client.increment(within(one_more(), session, 6)).await.unwrap_err();
    assert_eq!(code(&late), ErrorCode::StaleSequence);
    assert_eq!(count(&mut client, "hits").await, 7);
}

#[tokio::test]
async fn metadata_that_makes_no_sense_is_refused() {
    let cluster = Cluster::of_partitions(1, 1).await;
    let mut client = cluster.counter(0).await;
    for entries in [
        vec![("synod-session", "1")],
        vec![("synod-sequence", "1")],
        vec![("synod-session", "one"), ("synod-sequence", "1")],
        vec![("synod-session", "1"), ("synod-sequence", "0")],
        vec![("synod-session", "1"), ("synod-sequence", "-1")],
        vec![("synod-acknowledged", "1")],
    ] {
        let mut request = Request::new(one_more());
        for (name, value) in &entries {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let refused = client.increment(request).await.unwrap_err();
        assert_eq!(code(&refused), ErrorCode::Invalid, "{entries:?}");
    }
    let unknown = client.increment(within(one_more(), 999, 1)).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::SessionNotFound);
    assert_eq!(count(&mut client, "hits").await, 0);
}

#[tokio::test]
async fn what_a_session_acquires_ends_with_it() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let session = open(&cluster, 0).await;
    let mut locks = LockClient::new(cluster.channel(1).await);
    let acquire = AcquireRequest {
        primitive: named("deploy"),
        request_id: "a".into(),
        mode: Mode::Write.into(),
        ..AcquireRequest::default()
    };
    let without = locks.acquire(acquire.clone()).await.unwrap_err();
    assert_eq!(code(&without), ErrorCode::Invalid, "neither lease nor session");
    locks.acquire(within(acquire, session, 1)).await.unwrap();
    let get = || LockGetRequest { primitive: named("deploy") };
    assert_eq!(locks.get(get()).await.unwrap().into_inner().holders[0].session_id, session);

    let mut sessions = SessionClient::new(cluster.channel(2).await);
    let keep_alive = KeepAliveRequest { group: String::new(), partition: 0, session_id: session };
    sessions.keep_alive(keep_alive.clone()).await.unwrap();
    let close = CloseRequest { group: String::new(), partition: 0, session_id: session };
    sessions.close(close).await.unwrap();
    assert_eq!(locks.get(get()).await.unwrap().into_inner().holders, []);
    let gone = sessions.keep_alive(keep_alive).await.unwrap_err();
    assert_eq!(code(&gone), ErrorCode::SessionNotFound);
}
