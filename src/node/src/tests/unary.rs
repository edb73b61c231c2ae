//! Calls of every kind, through every node.

use futures::TryStreamExt as _;
use synod_proto::counter::v1 as counter;
use synod_proto::election::v1 as election;
use synod_proto::election::v1::election_client::ElectionClient;
use synod_proto::map::v1 as map;
use synod_proto::map::v1::map_client::MapClient;
use synod_proto::map::v1::transact_request::{Operation, operation};
use synod_proto::session::v1::OpenRequest;
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::set::v1 as set;
use synod_proto::set::v1::set_client::SetClient;
use synod_proto::value::v1 as value;
use synod_proto::value::v1::value_client::ValueClient;
use synod_types::{PartitionId, partition_of_new_group};
use tonic::{Code, Request};

use super::*;

/// What lives on which partition is known from the names alone.
fn home(name: &str, partitions: u32) -> u32 {
    let PartitionId(home) = partition_of_new_group(name.as_bytes(), partitions);
    home
}

#[tokio::test]
async fn a_counter_is_counted_through_every_node() {
    let cluster = Cluster::of_partitions(3, 2).await;
    for number in 0..3 {
        let mut client = cluster.counter(number).await;
        for _ in 0..5 {
            increment(&mut client, "hits").await.unwrap();
        }
    }
    let mut client = cluster.counter(0).await;
    assert_eq!(count(&mut client, "hits").await, 15);
    let set = counter::SetRequest { primitive: named("hits"), value: 7 };
    let set = client.set(set).await.unwrap().into_inner();
    assert_eq!((set.value, set.previous), (7, 15));
    let update = |expected| counter::UpdateRequest { primitive: named("hits"), expected, value: 9 };
    assert_eq!(client.update(update(7)).await.unwrap().into_inner().value, 9);
    assert_eq!(code(&client.update(update(7)).await.unwrap_err()), ErrorCode::Conflict);
    let decrement = counter::DecrementRequest { primitive: named("hits"), delta: 4 };
    assert_eq!(client.decrement(decrement).await.unwrap().into_inner().value, 5);
    cluster.assert_whole().await;
}

#[tokio::test]
async fn a_value_is_set_and_deleted() {
    let cluster = Cluster::of_partitions(1, 1).await;
    let mut client = ValueClient::new(cluster.channel(0).await);
    let primitive = || named("motto");
    let get = || value::GetRequest { primitive: primitive() };
    assert_eq!(code(&client.get(get()).await.unwrap_err()), ErrorCode::NotFound);
    let insert = || value::InsertRequest { primitive: primitive(), value: "a".into(), ttl_ms: None };
    let first = client.insert(insert()).await.unwrap().into_inner().version;
    let refused = client.insert(insert()).await.unwrap_err();
    assert_eq!((code(&refused), refused.code()), (ErrorCode::AlreadyExists, Code::AlreadyExists));
    let request = value::SetRequest { primitive: primitive(), value: "b".into(), ttl_ms: None };
    let set = client.set(request).await.unwrap().into_inner();
    assert_eq!(set.previous.unwrap().version, first);
    let update = |expected_version| value::UpdateRequest {
        primitive: primitive(),
        value: "c".into(),
        ttl_ms: None,
        expected_version,
    };
    assert_eq!(code(&client.update(update(first)).await.unwrap_err()), ErrorCode::Conflict);
    let updated = client.update(update(set.version)).await.unwrap().into_inner();
    let got = client.get(get()).await.unwrap().into_inner();
    assert_eq!((got.value, got.version), ("c".into(), updated.version));
    let delete = value::DeleteRequest { primitive: primitive(), expected_version: 0 };
    assert_eq!(client.delete(delete).await.unwrap().into_inner().previous.unwrap().value, "c");
}

#[tokio::test]
async fn a_map_is_spread_over_all_partitions() {
    const PARTITIONS: u32 = 3;
    let cluster = Cluster::of_partitions(3, PARTITIONS).await;
    let mut client = MapClient::new(cluster.channel(1).await);
    let primitive = || named("users");
    let keys: Vec<_> = (0..60).map(|number| format!("key-{number:02}")).collect();
    for key in &keys {
        let request = map::PutRequest {
            primitive: primitive(),
            key: key.clone(),
            value: "v".into(),
            ..Default::default()
        };
        client.put(request).await.unwrap();
    }
    let mut client = MapClient::new(cluster.channel(2).await);
    for key in &keys {
        let request = map::GetRequest { primitive: primitive(), key: key.clone() };
        assert_eq!(client.get(request).await.unwrap().into_inner().value, "v");
    }
    let mut listed = Vec::new();
    for partition in 0..PARTITIONS {
        let request = map::LenRequest { primitive: primitive(), partition };
        let entries = client.len(request).await.unwrap().into_inner().entries;
        let request = map::ListRequest { primitive: primitive(), partition, prefix: "key-".into() };
        let chunks: Vec<_> = client.list(request).await.unwrap().into_inner().try_collect().await.unwrap();
        let here: Vec<_> =
            chunks.into_iter().flat_map(|chunk| chunk.entries).map(|entry| entry.key).collect();
        assert_eq!(here.len() as u64, entries);
        assert!(here.iter().all(|key| home(key, PARTITIONS) == partition));
        listed.extend(here);
    }
    listed.sort();
    assert_eq!(listed, keys);

    let request = map::ClearRequest { primitive: primitive(), partition: 0 };
    let removed = client.clear(request).await.unwrap().into_inner().removed;
    assert_eq!(removed, keys.iter().filter(|key| home(key, PARTITIONS) == 0).count() as u64);
    cluster.assert_whole().await;
}

#[tokio::test]
async fn a_map_is_changed_under_conditions_and_in_transactions() {
    let cluster = Cluster::of_partitions(1, 3).await;
    let mut client = MapClient::new(cluster.channel(0).await);
    let primitive = || named("users");
    let insert = |key: &str| map::InsertRequest {
        primitive: primitive(),
        key: key.into(),
        value: "a".into(),
        ttl_ms: None,
    };
    let version = client.insert(insert("k")).await.unwrap().into_inner().version;
    assert_eq!(code(&client.insert(insert("k")).await.unwrap_err()), ErrorCode::AlreadyExists);
    let update = |expected_version| map::UpdateRequest {
        primitive: primitive(),
        key: "k".into(),
        value: "b".into(),
        ttl_ms: None,
        expected_version,
    };
    let updated = client.update(update(version)).await.unwrap().into_inner();
    assert_eq!(updated.previous.unwrap().value, "a");
    assert_eq!(code(&client.update(update(version)).await.unwrap_err()), ErrorCode::Conflict);
    let remove =
        |key: &str| map::RemoveRequest { primitive: primitive(), key: key.into(), expected_version: 0 };
    assert_eq!(client.remove(remove("k")).await.unwrap().into_inner().removed.unwrap().value, "b");
    assert_eq!(code(&client.remove(remove("k")).await.unwrap_err()), ErrorCode::NotFound);

    let same =
        |partition| (0..).map(|number| format!("t{number}")).filter(move |key| home(key, 3) == partition);
    let put = |key: String| Operation {
        operation: Some(operation::Operation::Put(map::PutRequest {
            key,
            value: "t".into(),
            ..Default::default()
        })),
    };
    let transact = |operations| map::TransactRequest { primitive: primitive(), operations };
    let together = same(2).take(3).map(put).collect();
    assert_eq!(client.transact(transact(together)).await.unwrap().into_inner().results.len(), 3);
    let apart = same(1).take(1).chain(same(2).take(1)).map(put).collect();
    let refused = client.transact(transact(apart)).await.unwrap_err();
    assert_eq!((code(&refused), refused.code()), (ErrorCode::WrongPartition, Code::FailedPrecondition));
    assert!(client.transact(transact(Vec::new())).await.unwrap().into_inner().results.is_empty());
}

#[tokio::test]
async fn a_set_holds_elements_once() {
    let cluster = Cluster::of_partitions(1, 2).await;
    let mut client = SetClient::new(cluster.channel(0).await);
    let primitive = || named("tags");
    let add =
        |element: &str| set::AddRequest { primitive: primitive(), element: element.into(), ttl_ms: None };
    assert!(client.add(add("red")).await.unwrap().into_inner().added);
    assert!(!client.add(add("red")).await.unwrap().into_inner().added);
    let contains = |element: &str| set::ContainsRequest { primitive: primitive(), element: element.into() };
    assert!(client.contains(contains("red")).await.unwrap().into_inner().contains);
    assert!(!client.contains(contains("blue")).await.unwrap().into_inner().contains);
    let partition = home("red", 2);
    let list = set::ListRequest { primitive: primitive(), partition, prefix: String::new() };
    let chunks: Vec<_> = client.list(list).await.unwrap().into_inner().try_collect().await.unwrap();
    assert_eq!(chunks.iter().flat_map(|chunk| &chunk.elements).collect::<Vec<_>>(), ["red"]);
    let len = set::LenRequest { primitive: primitive(), partition };
    assert_eq!(client.len(len).await.unwrap().into_inner().elements, 1);
    let remove = set::RemoveRequest { primitive: primitive(), element: "red".into() };
    assert!(client.remove(remove).await.unwrap().into_inner().removed);
    let clear = set::ClearRequest { primitive: primitive(), partition };
    assert_eq!(client.clear(clear).await.unwrap().into_inner().removed, 0);
}

#[tokio::test]
async fn an_election_is_held_among_sessions() {
    let cluster = Cluster::of_partitions(3, 2).await;
    let primitive = || named("boss");
    let mut sessions = SessionClient::new(cluster.channel(0).await);
    let open = OpenRequest {
        group: GROUP.into(),
        partition: home("boss", 2),
        timeout_ms: 60_000,
        client: String::new(),
    };
    let session = sessions.open(open).await.unwrap().into_inner().session_id;
    let mut client = ElectionClient::new(cluster.channel(1).await);
    let enter =
        |candidate: &str| election::EnterRequest { primitive: primitive(), candidate: candidate.into() };
    assert_eq!(code(&client.enter(enter("a")).await.unwrap_err()), ErrorCode::Invalid, "no session");
    for (sequence, candidate) in [(1, "a"), (2, "b"), (3, "c")] {
        let mut request = Request::new(enter(candidate));
        request.metadata_mut().insert("synod-session", session.into());
        request.metadata_mut().insert("synod-sequence", sequence.into());
        client.enter(request).await.unwrap();
    }
    let term = |leader: &str, queue: &[&str], id| {
        Some(election::Term {
            id,
            leader: leader.into(),
            queue: queue.iter().map(|c| c.to_string()).collect(),
        })
    };
    let candidate = |candidate: &str| (primitive(), candidate.to_owned());
    let get = election::GetRequest { primitive: primitive() };
    assert_eq!(client.get(get).await.unwrap().into_inner().term, term("a", &["b", "c"], 1));
    let (primitive, c) = candidate("c");
    let promote = election::PromoteRequest { primitive: primitive.clone(), candidate: c.clone() };
    assert_eq!(client.promote(promote).await.unwrap().into_inner().term, term("a", &["c", "b"], 1));
    let anoint = election::AnointRequest { primitive: primitive.clone(), candidate: c.clone() };
    assert_eq!(client.anoint(anoint).await.unwrap().into_inner().term, term("c", &["a", "b"], 2));
    let demote = election::DemoteRequest { primitive: primitive.clone(), candidate: c.clone() };
    assert_eq!(client.demote(demote).await.unwrap().into_inner().term, term("a", &["c", "b"], 3));
    let evict = election::EvictRequest { primitive: primitive.clone(), candidate: c };
    assert_eq!(client.evict(evict).await.unwrap().into_inner().term, term("a", &["b"], 3));
    let mut withdraw = Request::new(election::WithdrawRequest { primitive, candidate: "a".into() });
    withdraw.metadata_mut().insert("synod-session", session.into());
    withdraw.metadata_mut().insert("synod-sequence", 4.into());
    assert_eq!(client.withdraw(withdraw).await.unwrap().into_inner().term, term("b", &[], 4));
}

#[tokio::test]
async fn a_name_is_that_of_one_kind_and_is_created_by_its_first_use() {
    let cluster = Cluster::of_partitions(1, 3).await;
    let mut counters = cluster.counter(0).await;
    assert_eq!(count(&mut counters, "users").await, 0);
    let mut maps = MapClient::new(cluster.channel(0).await);
    for partition in 0..3 {
        let request = map::LenRequest { primitive: named("users"), partition };
        assert_eq!(code(&maps.len(request).await.unwrap_err()), ErrorCode::Forbidden, "{partition}");
    }
    let existing = |name: &str| Some(PrimitiveReference { existing: true, ..named(name).unwrap() });
    let get = |name| counter::GetRequest { primitive: existing(name) };
    assert_eq!(counters.get(get("users")).await.unwrap().into_inner().value, 0);
    let missing = counters.get(get("nobody")).await.unwrap_err();
    assert_eq!((code(&missing), missing.code()), (ErrorCode::UnknownPrimitive, Code::NotFound));
    let list = map::ListRequest { primitive: existing("nobody"), ..Default::default() };
    assert_eq!(maps.list(list).await.unwrap_err().code(), Code::NotFound);
    // What another application calls so is another one.
    let other = Some(PrimitiveReference { application: "other".into(), ..named("users").unwrap() });
    let len = map::LenRequest { primitive: other, partition: 0 };
    assert_eq!(maps.len(len).await.unwrap().into_inner().entries, 0);
}

#[tokio::test]
async fn what_is_asked_of_the_wrong_node_or_makes_no_sense_is_said_so() {
    let cluster = Cluster::new(1).await;
    cluster.bootstrap(0, 2).await;
    cluster.leader().await;
    let mut client = cluster.counter(0).await;
    let elsewhere = (0..).map(|number| format!("c{number}")).find(|name| home(name, 2) == 1).unwrap();
    let refused = increment(&mut client, &elsewhere).await.unwrap_err();
    assert_eq!((code(&refused), refused.code()), (ErrorCode::WrongPartition, Code::FailedPrecondition));
    assert_eq!(
        refused.message(),
        "partition 1 of group \"default/sample\" is not hosted on this node: ask the controller where it is"
    );
    let mut maps = MapClient::new(cluster.channel(0).await);
    let len = map::LenRequest { primitive: named("m"), partition: 2 };
    let refused = maps.len(len).await.unwrap_err();
    assert_eq!(
        (code(&refused), refused.message()),
        (ErrorCode::Invalid, "there is no partition 2: use 0 to 1")
    );

    let reference = |group: &str, name: &str| {
        Some(PrimitiveReference { group: group.into(), name: name.into(), ..Default::default() })
    };
    let long = "x".repeat(300);
    for (primitive, expected) in [
        (None, ErrorCode::Invalid),
        (reference("", ""), ErrorCode::Invalid),
        (reference("", "a\nb"), ErrorCode::Invalid),
        (reference("", &long), ErrorCode::Invalid),
        (reference("nobody", "hits"), ErrorCode::NotFound),
        (reference("default/nobody", "hits"), ErrorCode::NotFound),
    ] {
        let refused = client.get(counter::GetRequest { primitive }).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{refused}");
        assert!(refused.message().len() < 300, "{refused}");
    }
    for group in ["", "sample", GROUP] {
        let here = (0..).map(|number| format!("c{number}")).find(|name| home(name, 2) == 0).unwrap();
        client.get(counter::GetRequest { primitive: reference(group, &here) }).await.unwrap();
    }
}

#[tokio::test]
async fn calls_go_on_when_the_leader_crashes() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter((leader + 1) % 3).await;
    for expected in 1..=10 {
        assert_eq!(increment(&mut client, "hits").await.unwrap(), expected);
    }
    // Dropped, not stopped: nobody hands anything over.
    drop(cluster.nodes.remove(&leader));
    let begin = Instant::now();
    let value = loop {
        match increment(&mut client, "hits").await {
            Ok(value) => break value,
            Err(status) => assert!(begin.elapsed() < PATIENCE, "{status}"),
        }
    };
    assert!(value >= 11, "{value}");
}

#[tokio::test]
async fn a_call_that_nobody_can_answer_ends_at_its_deadline() {
    let mut cluster = Cluster::of_partitions(3, 1).await;
    let leader = cluster.leader().await;
    let mut client = cluster.counter(leader).await;
    increment(&mut client, "hits").await.unwrap();
    for number in (0..3).filter(|number| *number != leader) {
        drop(cluster.nodes.remove(&number));
    }
    let begin = Instant::now();
    let mut request = Request::new(IncrementRequest { primitive: named("hits"), delta: 1 });
    request.set_timeout(Duration::from_millis(400));
    let failed = client.increment(request).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(3), "{failed}");
    assert!(WireError::from_status(&failed).may_have_happened, "{failed}");
}
