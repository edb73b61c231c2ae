//! `kill -9`: of each leader in turn, of a majority, of everything.

use crate::agreement::Agreement;
use crate::cluster::{Cluster, PARTITIONS};
use crate::holders::Holders;
use crate::judge::judge;
use crate::load::Load;
use crate::watchers::Watchers;

/// How many more writes each partition has to acknowledge before the next thing happens.
const PROGRESS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whoever_is_killed() {
    let mut cluster = Cluster::start("").await;
    let watchers = Watchers::start(&cluster).await;
    let load = Load::start(&cluster, 1).await;
    let holders = Holders::start(&cluster, &load.record).await;
    let agreement = Agreement::start(&cluster);
    load.record.progress(PROGRESS).await;

    for partition in 0..PARTITIONS as u32 {
        let leader = cluster.leader(partition).await;
        cluster.kill(&[leader]).await;
        load.record.progress(PROGRESS).await;
        cluster.is_whole().await;
    }

    let leader = cluster.leader(0).await;
    let other = cluster.nodes().into_iter().find(|node| *node != leader).unwrap();
    cluster.kill(&[leader, other]).await;
    load.record.progress(PROGRESS).await;
    cluster.is_whole().await;

    cluster = cluster.kill_all().await;
    load.record.progress(PROGRESS).await;
    cluster.is_whole().await;

    let grants = holders.judge().await;
    let record = load.record.clone();
    let last = load.finish().await;
    let acknowledged = judge(&record.history());
    println!("{} writes of the map acknowledged, {grants} grants", acknowledged.versions.len());
    watchers.judge(&last, &acknowledged).await;
    agreement.judge(&cluster).await;
}
