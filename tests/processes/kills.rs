//! `kill -9`: of each leader in turn, of a majority, of everything.

use crate::agreement::Agreement;
use crate::cluster::Cluster;
use crate::holders::Holders;
use crate::judge::judge;
use crate::load::Load;
use crate::view::PARTITIONS;
use crate::watchers::Watchers;

/// How many more writes each partition has to acknowledge before the next thing happens.
const PROGRESS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whoever_is_killed() {
    let mut cluster = Cluster::start("").await;
    let watchers = Watchers::start(&cluster.view).await;
    let load = Load::start(&cluster.view, 1).await;
    let holders = Holders::start(&cluster.view, &load.record).await;
    let agreement = Agreement::start(&cluster.view);
    load.record.progress(PROGRESS).await;

    for partition in 0..PARTITIONS as u32 {
        let leader = cluster.view.leader(partition).await;
        cluster.kill(&[leader]).await;
        load.record.progress(PROGRESS).await;
        cluster.view.is_whole().await;
    }

    let leader = cluster.view.leader(0).await;
    let other = cluster.view.nodes().find(|node| *node != leader).unwrap();
    cluster.kill(&[leader, other]).await;
    load.record.progress(PROGRESS).await;
    cluster.view.is_whole().await;

    cluster = cluster.kill_all().await;
    load.record.progress(PROGRESS).await;
    cluster.view.is_whole().await;

    let grants = holders.judge().await;
    let record = load.record.clone();
    let last = load.finish().await;
    let acknowledged = judge(&record.history());
    println!("{} writes of the map acknowledged, {grants} grants", acknowledged.versions.len());
    watchers.judge(&last, &acknowledged).await;
    agreement.judge(&cluster.view).await;
}
