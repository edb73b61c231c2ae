//! Many partitions, names and kinds, and how fresh reads are.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt as _;
use synod_types::{ErrorCode, PrimitiveKind, SlotTable};

use super::cluster::{Cluster, Shape, until};
use crate::{Consistency, Group, TransactionResult, Version, Versioned};

async fn three() -> (Cluster, Group) {
    Cluster::with_group(Shape { nodes: 1, partitions: 3, ..Shape::default() }).await
}

#[tokio::test]
async fn keys_are_spread_by_the_slot_rule_and_the_whole_is_their_sum() {
    let (_cluster, group) = three().await;
    let map = group.map("users");
    let mut expected: Vec<_> = (0..60).map(|key| format!("key-{key}")).collect();
    for key in &expected {
        map.insert(key, key.clone()).await.unwrap();
    }
    let table = SlotTable::new(3).unwrap();
    let used: BTreeSet<_> = expected.iter().map(|key| table.partition_of(key.as_bytes())).collect();
    assert_eq!(used.len(), 3, "the keys of this test are on all partitions");
    let described = group.primitives(None).await.unwrap();
    assert_eq!(described.len(), 1);
    assert_eq!((described[0].name.as_str(), described[0].kind), ("users", PrimitiveKind::Map));
    assert_eq!(described[0].partitions.len(), 3);

    assert_eq!(map.len().await.unwrap(), 60);
    expected.sort();
    let entries: Vec<_> = map.entries().try_collect().await.unwrap();
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, expected, "in the order of the keys, over all partitions");
    let some: Vec<_> = map.entries_with_prefix("key-1").try_collect().await.unwrap();
    assert_eq!(some.len(), 11);
    assert_eq!(map.clear().await.unwrap(), 60);
    assert_eq!(map.len().await.unwrap(), 0);
    assert_eq!(map.get("key-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_long_listing_comes_in_many_chunks() {
    let (_cluster, group) = three().await;
    let map = group.map("m");
    let puts = (0..2_500).map(|key| map.put(format!("{key:05}"), vec![7_u8; 200]).into_future());
    futures::future::try_join_all(puts).await.unwrap();
    let entries: Vec<_> = map.entries().try_collect().await.unwrap();
    assert_eq!(entries.len(), 2_500);
    assert!(entries.is_sorted_by(|a, b| a.key < b.key));
}

#[tokio::test]
async fn a_set_is_spread_as_well() {
    let (_cluster, group) = three().await;
    let set = group.set("tags");
    for element in ["a", "b", "c", "d", "e"] {
        assert!(set.add(element).await.unwrap());
        assert!(!set.add(element).await.unwrap());
    }
    assert_eq!(set.len().await.unwrap(), 5);
    assert!(set.contains("c").await.unwrap());
    assert!(set.remove("c").await.unwrap());
    assert!(!set.remove("c").await.unwrap() && !set.contains("c").await.unwrap());
    let elements: Vec<_> = set.elements().try_collect().await.unwrap();
    assert_eq!(elements, ["a", "b", "d", "e"]);
    assert_eq!(set.clear().await.unwrap(), 4);
}

#[tokio::test]
async fn versions_and_times_to_live_of_entries() {
    let (_cluster, group) = three().await;
    let map = group.map("m");
    let first = map.put("k", "1").await.unwrap();
    assert_eq!(first.previous, None);
    let second = map.put("k", "2").if_version(first.version).await.unwrap();
    let previous = Versioned { value: "1".into(), version: first.version };
    assert_eq!(second.previous, Some(previous));
    let code = |error: crate::Error| error.code();
    assert_eq!(map.put("k", "3").if_version(first.version).await.map_err(code), Err(ErrorCode::Conflict));
    assert_eq!(map.put("k", "3").if_version(Version(0)).await.map_err(code), Err(ErrorCode::Invalid));
    assert_eq!(map.insert("k", "3").await.map_err(code), Err(ErrorCode::AlreadyExists));
    assert_eq!(map.update("none", "3").await.map_err(code), Err(ErrorCode::NotFound));
    assert_eq!(map.remove("none").await.unwrap(), None);
    let remove = map.remove("none").if_version(first.version).await;
    assert_eq!(remove.map_err(code), Err(ErrorCode::NotFound));
    let third = map.update("k", "3").if_version(second.version).await.unwrap();
    let removed = map.remove("k").if_version(third.version).await.unwrap().unwrap();
    assert_eq!(removed.value, "3");
    map.put("short", "1").ttl(Duration::from_millis(30)).await.unwrap();
    until("the entry expires", async || map.get("short").await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn a_value_is_set_and_unset() {
    let (_cluster, group) = three().await;
    let value = group.value("v");
    assert_eq!(value.get().await.unwrap(), None);
    assert_eq!(value.delete().await.unwrap(), None);
    let code = |error: crate::Error| error.code();
    assert_eq!(value.update("x").await.map_err(code), Err(ErrorCode::NotFound));
    let version = value.insert("1").await.unwrap();
    assert_eq!(value.insert("1").await.map_err(code), Err(ErrorCode::AlreadyExists));
    let written = value.update("2").if_version(version).await.unwrap();
    assert_eq!(written.previous.unwrap().value, "1");
    assert_eq!(value.delete().if_version(version).await.map_err(code), Err(ErrorCode::Conflict));
    assert_eq!(value.set("3").await.unwrap().previous.unwrap().value, "2");
    assert_eq!(value.get().await.unwrap().unwrap().value, "3");
    assert_eq!(value.delete().await.unwrap().unwrap().value, "3");
}

#[tokio::test]
async fn a_counter_compares_before_it_sets() {
    let (_cluster, group) = three().await;
    let counter = group.counter("c");
    assert_eq!(counter.get().await.unwrap(), 0);
    assert_eq!(counter.set(5).await.unwrap(), 0);
    counter.compare_and_set(5, 7).await.unwrap();
    let error = counter.compare_and_set(5, 9).await.unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::Conflict, false));
    assert_eq!(counter.decrement(10).await.unwrap(), -3);
}

#[tokio::test]
async fn a_transaction_does_all_or_nothing_on_one_partition() {
    let (_cluster, group) = three().await;
    let map = group.map("m");
    let home = map.partition_of("a");
    let keys: Vec<_> =
        (0..).map(|key| format!("{key}")).filter(|key| map.partition_of(key) == home).take(3).collect();
    let elsewhere = (0..).map(|key| format!("{key}")).find(|key| map.partition_of(key) != home).unwrap();

    assert_eq!(map.transaction().commit().await.unwrap(), []);
    let version = map.put("a", "1").await.unwrap().version;
    let results = map
        .transaction()
        .check("a", version)
        .check_absent(&keys[2])
        .insert(&keys[0], "x")
        .put(&keys[1], "y")
        .ttl(Duration::from_secs(60))
        .commit()
        .await
        .unwrap();
    assert_eq!(
        results[0],
        TransactionResult {
            version: Some(version),
            previous: Some(Versioned { value: "1".into(), version })
        }
    );
    assert_eq!((results[1].version, &results[1].previous), (None, &None));
    assert!(results[2].version > Some(version));

    let code = |error: crate::Error| error.code();
    let failing = map.transaction().remove("a").if_version(version).update(&keys[2], "z");
    let error = failing.commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.to_string().starts_with("operation 2"), "{error}");
    assert_eq!(map.get("a").await.unwrap().unwrap().version, version, "nothing was done");
    let scattered = map.transaction().put("a", "1").put(&elsewhere, "1").commit().await.unwrap_err();
    assert_eq!(scattered.code(), ErrorCode::Invalid);
    assert!(scattered.to_string().contains("keys of one partition"), "{scattered}");
    let twice = map.transaction().put("a", "1").remove("a").commit().await;
    assert_eq!(twice.map_err(code), Err(ErrorCode::Conflict));
    let misused = map.transaction().insert("b", "1").if_version(version).commit().await;
    assert_eq!(misused.map_err(code), Err(ErrorCode::Invalid));
}

#[tokio::test]
async fn a_name_belongs_to_one_kind_everywhere() {
    let (_cluster, group) = three().await;
    group.counter("shared").increment(1).await.unwrap();
    let map = group.map("shared");
    let code = |error: crate::Error| error.code();
    // Wherever the key lives: the name is refused on its home.
    for key in ["a", "b", "c", "d", "e", "f"] {
        let error = map.put(key, "1").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "{key}");
        assert!(error.to_string().contains("is the name of a counter"), "{error}");
        assert_eq!(map.get(key).await.map_err(code), Err(ErrorCode::Forbidden));
    }
    assert_eq!(map.len().await.map_err(code), Err(ErrorCode::Forbidden));
    assert_eq!(map.entries().try_collect::<Vec<_>>().await.map_err(code), Err(ErrorCode::Forbidden));
    assert_eq!(map.events().await.map(|_| ()).map_err(code), Err(ErrorCode::Forbidden));
    assert_eq!(group.lock("shared").acquire().await.map(|_| ()).map_err(code), Err(ErrorCode::Forbidden));
    assert_eq!(group.with_application("other").unwrap().map("shared").len().await.unwrap(), 0);
}

#[tokio::test]
async fn what_must_exist_is_not_created() {
    let (_cluster, group) = three().await;
    let code = |error: crate::Error| error.code();
    let map = group.map("m").existing();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(map.get(key).await.map_err(code), Err(ErrorCode::NotFound));
        assert_eq!(map.put(key, "1").await.map_err(code), Err(ErrorCode::NotFound));
        assert_eq!(map.remove(key).await.map_err(code), Err(ErrorCode::NotFound));
    }
    assert_eq!(map.len().await.map_err(code), Err(ErrorCode::NotFound));
    assert_eq!(map.events().await.map(|_| ()).map_err(code), Err(ErrorCode::NotFound));
    assert_eq!(group.counter("c").existing().get().await.map_err(code), Err(ErrorCode::NotFound));
    let error = group.lock("l").existing().acquire().await.unwrap_err();
    assert!(error.to_string().contains("lock \"l\" does not exist"), "{error}");
    assert_eq!(group.primitives(None).await.unwrap(), [], "nothing was created");

    // Once it is there on its home, it may be used on all partitions.
    group.map("m").ensure().await.unwrap();
    assert_eq!(map.len().await.unwrap(), 0);
    for key in ["a", "b", "c", "d"] {
        assert_eq!(map.get(key).await.unwrap(), None);
        map.put(key, "1").await.unwrap();
    }
    assert_eq!(map.len().await.unwrap(), 4);
}

#[tokio::test]
async fn what_was_deleted_can_be_made_again() {
    let (_cluster, group) = three().await;
    let map = group.map("m");
    for key in ["a", "b", "c", "d"] {
        map.put(key, "1").await.unwrap();
    }
    assert!(group.delete(PrimitiveKind::Map, "m").await.unwrap());
    assert!(!group.delete(PrimitiveKind::Map, "m").await.unwrap());
    assert_eq!(group.primitives(None).await.unwrap(), []);
    group.set("m").add("x").await.unwrap();
    let error = map.put("a", "1").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Forbidden, "the name is another kind's now");
}

#[tokio::test]
async fn bad_names_keys_and_values_get_clear_errors() {
    let (_cluster, group) = three().await;
    let long = "x".repeat(5_000);
    for (outcome, named) in [
        (group.map("").put("a", "1").await, "primitive name"),
        (group.map("a\nb").put("a", "1").await, "control character"),
        (group.map("m").put("", "1").await, "the key is empty"),
        (group.map("m").put(long, "1").await, "the key has 5000 bytes: use at most 4096"),
        (group.map("m").put("a", vec![0_u8; (1 << 20) + 1]).await, "the value has 1048577 bytes"),
        (group.map("m").put("a", vec![0_u8; 2 << 20]).await, "use at most"),
        (group.map("m").put("a", vec![0_u8; 64 << 20]).await, "use at most"),
        (group.map("m").put("a", "1").ttl(Duration::ZERO).await, "ttl_ms is 0"),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(group.map("m").put("a", vec![0_u8; 1 << 20]).await.unwrap().previous, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_reads_see_what_the_client_has_seen_at_any_replica() {
    let (cluster, group) = Cluster::with_group(Shape::default()).await;
    let (counter, map) = (group.counter("c"), group.map("m"));
    let relaxed = counter.clone().consistency(Consistency::Sequential);
    for expected in 1..=100 {
        counter.increment(1).await.unwrap();
        assert_eq!(relaxed.get().await.unwrap(), expected, "what this client wrote");
    }
    // What another client wrote, this one need not see, but what it has seen it sees again.
    let mut seen = 0;
    let other = cluster.group().await.counter("c");
    for _ in 0..50 {
        other.increment(1).await.unwrap();
        let now = relaxed.get().await.unwrap();
        assert!(now >= seen, "{now} after {seen}");
        seen = now;
    }
    map.put("a", "1").await.unwrap();
    let entries: Vec<_> =
        map.clone().consistency(Consistency::Sequential).entries().try_collect().await.unwrap();
    assert_eq!(entries.len(), 1);
    let missing = group.value("none").existing().consistency(Consistency::Sequential).get().await;
    assert_eq!(missing.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_reads_go_on_while_replicas_are_down() {
    let (mut cluster, group) = Cluster::with_group(Shape::default()).await;
    let counter = group.counter("c");
    counter.set(7).await.unwrap();
    let relaxed = counter.clone().consistency(Consistency::Sequential);
    for _ in 0..10 {
        assert_eq!(relaxed.get().await.unwrap(), 7);
    }
    let leader = cluster.leader(0).await;
    cluster.kill(leader).await;
    cluster.kill((leader + 1) % 3).await;
    // One replica is left, which cannot lead: it serves what it has.
    for _ in 0..10 {
        assert_eq!(relaxed.get().await.unwrap(), 7);
    }
}
