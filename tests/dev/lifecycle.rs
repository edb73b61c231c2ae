//! From the start to Ctrl-C, and whatever may happen in between.

use std::time::Duration;

use rustix::process::Signal;
use synod_client::Group;
use synod_tests::running::{Dev, eventually, lives};
use tokio::time::timeout;

use super::files::{group, write};

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(90);

/// Writes to all partitions.
async fn fill(group: &Group, count: usize) {
    let map = group.map("users");
    for number in 0..count {
        map.put(format!("key-{number}"), format!("value-{number}")).await.unwrap();
    }
}

async fn assert_filled(group: &Group, count: usize) {
    let map = group.map("users");
    assert_eq!(map.len().await.unwrap(), count as u64);
    for number in 0..count {
        let found = map.get(format!("key-{number}")).await.unwrap().unwrap();
        assert_eq!(found.value, format!("value-{number}"));
    }
}

#[tokio::test]
async fn it_tells_what_runs_and_what_was_written_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Dev::ready(dir.path(), &[]).await;
    let (said, state) = (dev.said(), dev.state());
    let nodes = &state.groups[0].nodes;
    for expected in [
        "group       default/sample: 3 partitions, 3 replicas each".to_owned(),
        format!("controller  {}", dev.controller_address()),
        format!("export SYNOD_CONTROLLER={}", dev.controller_address()),
        format!("127.0.0.1:{}", nodes[2].ports.client),
        "synod map put users alice 1".to_owned(),
        "Ctrl-C stops it".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let client = dev.client().await;
    fill(&client.default_group().await.unwrap(), 30).await;
    client.close().await;
    let pids: Vec<_> = nodes.iter().map(|node| dev.node_pid("sample", &node.name).unwrap()).collect();
    let ended = dev.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!pids.into_iter().any(lives), "a node outlives its supervisor");

    let mut dev = Dev::ready(dir.path(), &[]).await;
    assert_eq!(dev.state(), state, "all is where it was");
    assert_filled(&dev.client().await.default_group().await.unwrap(), 30).await;
    dev.signal(Signal::TERM);
    let ended = dev.ended().await;
    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test]
async fn a_node_that_is_killed_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Dev::ready(dir.path(), &[]).await;
    let before = dev.group_is_ready("sample").await;
    let client = dev.client().await;
    let group = client.default_group().await.unwrap();
    fill(&group, 10).await;
    for node in ["node-0", "node-1", "node-2"] {
        dev.kill_node("sample", node).await;
        group.counter("kills").increment(1).await.unwrap();
        dev.says(&format!("{node} of default/sample runs again")).await;
        dev.group_is_ready("sample").await;
    }
    assert_eq!(group.counter("kills").get().await.unwrap(), 3);
    assert_filled(&group, 10).await;
    let ids = |group: &synod_client::controller::Group| {
        let members = group.partitions.iter().flat_map(|partition| &partition.members);
        let mut ids: Vec<_> = members.map(|member| member.id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&dev.group_is_ready("sample").await), ids(&before), "the members are the same");
    let ended = dev.stop().await;
    assert!(ended.err.contains("was killed by signal 9; it starts again in 100 ms"), "{ended:?}");
}

#[tokio::test]
async fn a_node_whose_data_was_deleted_comes_back_as_a_new_member() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 3));
    let dev = Dev::ready(&dir.path().join("data"), &[&file]).await;
    let client = dev.client().await;
    let group = client.default_group().await.unwrap();
    fill(&group, 30).await;
    let before = dev.group_is_ready("sample").await;
    std::fs::remove_dir_all(dev.group_dir("sample").join("node-1")).unwrap();
    dev.says("node-1 of default/sample has lost its data: it starts again, blank").await;
    dev.says("node-1 of default/sample has caught up as a new member").await;
    let after = dev.group_is_ready("sample").await;
    let member = |group: &synod_client::controller::Group, node: &str| {
        group.partitions[0].members.iter().find(|member| member.node == node).unwrap().id
    };
    assert_ne!(member(&before, "node-1"), member(&after, "node-1"));
    assert_eq!(member(&before, "node-0"), member(&after, "node-0"));
    let snapshots = dev.group_dir("sample").join("node-1/replicas/default/sample/0/snapshots");
    assert!(std::fs::read_dir(snapshots).unwrap().count() > 0, "it came without a snapshot");

    // The new member is worth as much as those that were there: with one of them it is the majority.
    std::fs::remove_dir_all(dev.group_dir("sample").join("node-0")).unwrap();
    dev.says("node-0 of default/sample has caught up as a new member").await;
    dev.group_is_ready("sample").await;
    assert_filled(&group, 30).await;
}

#[tokio::test]
async fn replicas_come_and_go_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for replicas in [1, 3, 1] {
        let file = write(dir.path(), "group.yaml", &group("sample", 1, replicas));
        let dev = Dev::ready(&data, &[&file]).await;
        let client = dev.client().await;
        let group = client.default_group().await.unwrap();
        let count = group.counter("starts").increment(1).await.unwrap();
        // It is ready before the last of those that are not needed is out.
        let settled = async {
            while dev.group_is_ready("sample").await.partitions[0].members.len() != replicas as usize {}
        };
        timeout(PATIENCE, settled).await.expect("members that are not needed stay");
        eventually("nodes that are not needed go", || dev.state().groups[0].nodes.len() == replicas as usize)
            .await;
        assert_eq!(group.counter("starts").get().await.unwrap(), count);
        client.close().await;
        assert!(dev.stop().await.status.success());
    }
}

#[tokio::test]
async fn nodes_end_with_a_supervisor_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 3));
    let data = dir.path().join("data");
    let mut dev = Dev::ready(&data, &[&file]).await;
    let client = dev.client().await;
    fill(&client.default_group().await.unwrap(), 5).await;
    let pids = ["node-0", "node-1", "node-2"].map(|node| dev.node_pid("sample", node).unwrap());
    dev.signal(Signal::KILL);
    dev.ended().await;
    eventually("all nodes end", || !pids.into_iter().any(lives)).await;
    let dev = Dev::ready(&data, &[&file]).await;
    assert_filled(&dev.client().await.default_group().await.unwrap(), 5).await;
}

#[tokio::test]
async fn a_second_interrupt_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "group.yaml", &group("sample", 1, 1));
    let mut dev = Dev::ready(&dir.path().join("data"), &[&file]).await;
    let node = dev.node_pid("sample", "node-0").unwrap();
    // A node that does not react to anything.
    rustix::process::kill_process(node, Signal::STOP).unwrap();
    dev.signal(Signal::INT);
    dev.says("stopping").await;
    dev.signal(Signal::INT);
    let ended = dev.ended().await;
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(!lives(node));
}
