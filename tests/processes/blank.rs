//! A member whose data is deleted: a new one takes its place, and learns the state from a snapshot.

use synod_client::admin::Role;

use crate::agreement::Agreement;
use crate::cluster::Cluster;
use crate::judge::judge;
use crate::load::Load;
use crate::view::{PARTITIONS, Seen};
use crate::watchers::Watchers;

/// Small enough for the log to be cut while the test runs.
const SPEC: &str = "  protocol: {type: Raft, raft: {snapshotLogBytes: 1048576, logTailBytes: 0}}\n";
const VALUE_BYTES: usize = 8 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_member_without_its_data_comes_back_as_a_new_one_by_snapshot() {
    let cluster = Cluster::start(SPEC).await;
    let watchers = Watchers::start(&cluster.view).await;
    let load = Load::start(&cluster.view, VALUE_BYTES).await;
    let agreement = Agreement::start(&cluster.view);
    cluster
        .view
        .see("no log reaches back to its beginning", |seen| {
            let mut leaders = seen.iter().filter(|seen| seen.replica.role() == Role::Leader);
            let are_cut = leaders.clone().all(|seen| seen.replica.first_log_index > 1);
            (leaders.by_ref().count() == PARTITIONS && are_cut).then_some(())
        })
        .await;

    let robbed = cluster.view.leader(0).await;
    let members = |seen: &[Seen]| -> Vec<u64> {
        let own = seen.iter().filter(|seen| seen.node == robbed);
        own.map(|seen| seen.replica.member_id).collect()
    };
    let before = members(&cluster.view.look().await);
    assert_eq!(before.len(), PARTITIONS);
    std::fs::remove_dir_all(cluster.node_dir(&robbed)).unwrap();
    cluster
        .view
        .see("new members take the places of the old ones", |seen| {
            let own: Vec<_> = seen.iter().filter(|seen| seen.node == robbed).collect();
            let is_new = |id: u64| id != 0 && !before.contains(&id);
            let are_new = own.len() == PARTITIONS && own.iter().all(|seen| is_new(seen.replica.member_id));
            let by_snapshot = own.iter().all(|seen| seen.replica.snapshot_log_index > 0);
            (are_new && by_snapshot).then_some(())
        })
        .await;
    load.record.progress(20).await;
    cluster.view.is_whole().await;

    let record = load.record.clone();
    let last = load.finish().await;
    let acknowledged = judge(&record.history());
    watchers.judge(&last, &acknowledged).await;
    agreement.judge(&cluster.view).await;
}
