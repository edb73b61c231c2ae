//! Watches and listings by calls.

use futures::{StreamExt as _, TryStreamExt as _};
use synod_proto::counter::v1::{Event, WatchRequest, WatchResponse};
use synod_proto::map::v1 as map;
use synod_proto::map::v1::map_client::MapClient;
use synod_proto::value::v1 as value;
use synod_proto::value::v1::value_client::ValueClient;
use tonic::{Code, Streaming};

use super::*;

async fn watch(cluster: &Cluster, number: usize, after_position: u64) -> Streaming<WatchResponse> {
    let request = WatchRequest { primitive: named("hits"), after_position };
    cluster.counter(number).await.watch(request).await.unwrap().into_inner()
}

/// The next event with its position; notices of progress are passed over.
async fn next_event(watch: &mut Streaming<WatchResponse>) -> (u64, Event) {
    loop {
        let answer = watch.next().await.unwrap().unwrap();
        if let Some(event) = answer.event {
            return (answer.position, event);
        }
    }
}

#[tokio::test]
async fn a_watch_acknowledges_then_tells_every_change_and_goes_on_elsewhere() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let mut client = cluster.counter(0).await;
    increment(&mut client, "hits").await.unwrap();
    let mut watches = Vec::new();
    for number in 0..3 {
        let mut watch = watch(&cluster, number, 0).await;
        let acknowledgement = watch.next().await.unwrap().unwrap();
        assert_eq!(acknowledgement.event, None);
        assert!(acknowledgement.index > 0);
        watches.push(watch);
    }
    for _ in 0..10 {
        increment(&mut client, "hits").await.unwrap();
    }
    let mut positions = Vec::new();
    for watch in &mut watches {
        let mut seen = Vec::new();
        for expected in 2..=11 {
            let (position, event) = next_event(watch).await;
            assert_eq!(event, Event { value: expected, previous: expected - 1 });
            seen.push(position);
        }
        positions.push(seen);
    }
    assert!(positions.iter().all(|seen| *seen == positions[0]), "all replicas have one history");

    // After the fifth, at another replica: no gap and no repetition.
    let mut resumed = watch(&cluster, 1, positions[0][4]).await;
    for expected in 7..=11 {
        assert_eq!(next_event(&mut resumed).await.1.value, expected);
    }
}

#[tokio::test]
async fn a_watch_is_told_how_far_it_has_come() {
    let cluster = Cluster::of_partitions(1, 1).await;
    let mut watch = watch(&cluster, 0, 0).await;
    let begin = watch.next().await.unwrap().unwrap().position;
    // Changes of others, which it does not see.
    let mut client = cluster.counter(0).await;
    for _ in 0..3 {
        increment(&mut client, "others").await.unwrap();
    }
    let mut last = begin;
    while last < begin + 3 {
        // One may come while the changes are under way.
        let notice = watch.next().await.unwrap().unwrap();
        assert_eq!(notice.event, None);
        assert!((last..=begin + 3).contains(&notice.position), "{last} {}", notice.position);
        last = notice.position;
    }
}

#[tokio::test]
async fn a_watch_from_before_the_history_is_told_so() {
    let mut cluster = Cluster::new(1).await;
    cluster.limits = Some(Limits { history_changes: 5, ..Limits::default() });
    cluster.bootstrap(0, 1).await;
    cluster.leader().await;
    let mut client = cluster.counter(0).await;
    for _ in 0..20 {
        increment(&mut client, "hits").await.unwrap();
    }
    let request = WatchRequest { primitive: named("hits"), after_position: 1 };
    let refused = client.watch(request).await.unwrap_err();
    assert_eq!((code(&refused), refused.code()), (ErrorCode::Compacted, Code::OutOfRange));
}

/// A watcher that takes nothing off the wire is no burden: it falls out of the history, and hears of it.
#[tokio::test]
async fn a_watch_that_does_not_keep_up_is_ended() {
    let mut cluster = Cluster::new(1).await;
    cluster.limits = Some(Limits { history_changes: 10, ..Limits::default() });
    cluster.bootstrap(0, 1).await;
    cluster.leader().await;
    let mut client = ValueClient::new(cluster.channel(0).await);
    let request = value::WatchRequest { primitive: named("blob"), after_position: 0 };
    let mut watch = ValueClient::new(cluster.channel(0).await).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().event, None);
    // More than the connection and the replica hold for it.
    for number in 0..60 {
        let request =
            value::SetRequest { primitive: named("blob"), value: vec![number; 900_000].into(), ttl_ms: None };
        client.set(request).await.unwrap();
    }
    let mut last = 0;
    let ended = loop {
        match watch.next().await.unwrap() {
            Ok(answer) => {
                assert!(answer.position > last, "in order, and none twice");
                last = answer.position;
            }
            Err(status) => break status,
        }
    };
    assert_eq!(code(&ended), ErrorCode::Compacted);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_of_a_map_has_one_filter() {
    let cluster = Cluster::of_partitions(1, 1).await;
    let mut client = MapClient::new(cluster.channel(0).await);
    let watch = |key: Option<&str>, prefix: Option<&str>| map::WatchRequest {
        primitive: named("users"),
        key: key.map(str::to_owned),
        prefix: prefix.map(str::to_owned),
        ..map::WatchRequest::default()
    };
    let both = client.watch(watch(Some("a"), Some("b"))).await.unwrap_err();
    assert_eq!(code(&both), ErrorCode::Invalid);
    let mut exactly = client.watch(watch(Some("ab"), None)).await.unwrap().into_inner();
    let mut prefix = client.watch(watch(None, Some("a"))).await.unwrap().into_inner();
    for key in ["a", "ab", "abc", "b"] {
        let request = map::PutRequest { primitive: named("users"), key: key.into(), ..Default::default() };
        client.put(request).await.unwrap();
    }
    let keys = async |watch: &mut Streaming<map::WatchResponse>, count: usize| {
        let mut keys = Vec::new();
        while keys.len() < count {
            keys.extend(watch.next().await.unwrap().unwrap().event.map(|event| event.key));
        }
        keys
    };
    assert_eq!(keys(&mut prefix, 3).await, ["a", "ab", "abc"]);
    assert_eq!(keys(&mut exactly, 1).await, ["ab"]);
}

#[tokio::test]
async fn a_listing_comes_in_chunks_and_holds_what_was_written_before() {
    let cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = MapClient::new(cluster.channel(leader).await);
    for number in 0..25 {
        let operations = (0..100)
            .map(|offset| map::transact_request::Operation {
                operation: Some(map::transact_request::operation::Operation::Put(map::PutRequest {
                    key: format!("{:04}", number * 100 + offset),
                    ..map::PutRequest::default()
                })),
            })
            .collect();
        client.transact(map::TransactRequest { primitive: named("users"), operations }).await.unwrap();
    }
    // From a follower at once: it waits until it has what the leader had.
    let mut follower = MapClient::new(cluster.channel((leader + 1) % 3).await);
    let list = map::ListRequest { primitive: named("users"), ..Default::default() };
    let chunks: Vec<_> = follower.list(list).await.unwrap().into_inner().try_collect().await.unwrap();
    assert!(chunks.len() >= 3, "{}", chunks.len());
    let keys: Vec<_> =
        chunks.iter().flat_map(|chunk| &chunk.entries).map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, (0..2_500).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}
