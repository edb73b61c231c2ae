//! The controller of a development group: what there is, what changes, and making more.

use std::time::Duration;

use futures::StreamExt as _;
use synod_client::ErrorCode;
use synod_client::controller::{GroupChange, PrimitiveAddress, Role};
use synod_tests::running::Dev;
use tokio::time::timeout;

use super::files::{group, write};

const PATIENCE: Duration = Duration::from_secs(90);

/// Waits for a change that is as wanted.
async fn change(
    changes: &mut (impl futures::Stream<Item = synod_client::Result<GroupChange>> + Unpin),
    is_wanted: impl Fn(&str, &GroupChange) -> bool,
) {
    let wanted = async {
        while let Some(change) = changes.next().await {
            let change = change.unwrap();
            if is_wanted(&change.group.as_ref().unwrap().name, &change) {
                return;
            }
        }
        panic!("the watch ended");
    };
    timeout(PATIENCE, wanted).await.expect("the change never came");
}

#[tokio::test]
async fn groups_are_listed_described_watched_created_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "group.yaml", &group("sample", 2, 3));
    let data = dir.path().join("data");
    let dev = Dev::ready(&data, &[&file]).await;
    let controller = dev.controller();

    let sample = dev.group_is_ready("sample").await;
    assert_eq!((sample.namespace.as_str(), sample.replicas, sample.slots), ("default", 3, 32_768));
    assert_eq!(sample.partitions.len(), 2);
    let nodes = dev.state().groups.remove(0).nodes;
    for partition in &sample.partitions {
        let leaders: Vec<_> =
            partition.members.iter().filter(|member| member.role() == Role::Leader).collect();
        assert!(
            leaders.len() == 1 && leaders[0].id == partition.leader && partition.term > 0,
            "{partition:?}"
        );
        let mut endpoints: Vec<_> = partition.members.iter().map(|member| member.endpoint.clone()).collect();
        endpoints.sort();
        let mut expected: Vec<_> =
            nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports.client)).collect();
        expected.sort();
        assert_eq!(endpoints, expected);
    }

    let mut changes = controller.watch_groups("", "").await.unwrap();
    change(&mut changes, |name, change| name == "sample" && !change.deleted).await;
    let created = controller.create_group(group("other", 1, 1)).await.unwrap();
    assert_eq!((created.name.as_str(), created.ready), ("other", false));
    change(&mut changes, |name, change| name == "other" && change.group.as_ref().unwrap().ready).await;
    let names = |groups: Vec<synod_client::controller::Group>| -> Vec<_> {
        groups.into_iter().map(|group| group.name).collect()
    };
    assert_eq!(names(controller.groups("default").await.unwrap()), ["other", "sample"]);
    let again = controller.create_group(group("other", 1, 1)).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::AlreadyExists);
    let wrong = controller.create_group(group("wrong", 1, 2)).await.unwrap_err();
    assert!(wrong.message().contains("spec.replicas") && wrong.code() == ErrorCode::Invalid, "{wrong}");

    let client = dev.client().await;
    let other = client.group("other").await.unwrap();
    assert_eq!(other.counter("hits").increment(3).await.unwrap(), 3);
    client.close().await;
    assert!(dev.stop().await.status.success());

    // What was created by a call runs until a call deletes it.
    let dev = Dev::ready(&data, &[&file]).await;
    let controller = dev.controller();
    let mut changes = controller.watch_groups("default", "other").await.unwrap();
    let client = dev.client().await;
    let other = client.group("other").await.unwrap();
    assert_eq!(other.counter("hits").get().await.unwrap(), 3);
    client.close().await;
    controller.delete_group("default", "other").await.unwrap();
    change(&mut changes, |name, change| name == "other" && change.deleted).await;
    assert_eq!(names(controller.groups("").await.unwrap()), ["sample"]);
    let gone = controller.delete_group("default", "other").await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NotFound);

    // Another of the same name begins empty.
    controller.create_group(group("other", 1, 1)).await.unwrap();
    let client = dev.client().await;
    let other = client.group("other").await.unwrap();
    assert_eq!(other.counter("hits").increment(1).await.unwrap(), 1);
}

fn primitive(name: &str, kind: &str) -> String {
    format!(
        "apiVersion: synod.dev/v1alpha1\nkind: Primitive\nmetadata: {{name: {name}}}\nspec: {{group: sample, kind: {kind}}}\n"
    )
}

#[tokio::test]
async fn primitives_are_declared_listed_created_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{}---\n{}", group("sample", 2, 1), primitive("users", "Map"));
    let file = write(dir.path(), "group.yaml", &text);
    let dev = Dev::ready(&dir.path().join("data"), &[&file]).await;
    assert!(dev.said().contains("primitives  users (Map)"), "{}", dev.said());
    let controller = dev.controller();
    let list = async || {
        let found = controller.primitives("default", "sample", "").await.unwrap();
        found.into_iter().map(|it| format!("{} {}", it.kind, it.name)).collect::<Vec<_>>()
    };
    assert_eq!(list().await, ["map users"]);
    let created = controller.create_primitive(primitive("hits", "Counter")).await.unwrap();
    assert_eq!((created.kind.as_str(), created.partitions.len()), ("counter", 1));
    assert_eq!(list().await, ["counter hits", "map users"]);
    let taken = controller.create_primitive(primitive("hits", "Map")).await.unwrap_err();
    assert!(taken.message().contains("\"hits\" is the name of a counter"), "{taken}");
    let hits =
        PrimitiveAddress { kind: "counter".into(), name: "hits".into(), ..PrimitiveAddress::default() };
    assert_eq!(controller.primitive(hits.clone()).await.unwrap().name, "hits");
    controller.delete_primitive(hits.clone()).await.unwrap();
    assert_eq!(controller.primitive(hits).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(list().await, ["map users"]);
}
