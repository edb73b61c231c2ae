//! What ends by itself ends when it was said to, whoever leads.

use std::time::{Duration, Instant};

use synod_client::admin::ReplicaName;
use synod_types::PartitionId;

use crate::cluster::Cluster;
use crate::view::{AGAIN, GROUP, PATIENCE};

const TTL: Duration = Duration::from_secs(8);

/// The TTL of an entry is counted on by every new leader, and begun anew by none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_a_ttl_goes_on_whoever_leads() {
    let cluster = Cluster::start("").await;
    let (client, group) = cluster.view.client().await;
    let map = group.map("sessions");
    let partition = map.partition_of("k").get();
    let before = Instant::now();
    map.put("k", "v").ttl(TTL).await.unwrap();
    let handed_over_at = loop {
        let leader = cluster.view.leader(partition).await;
        let (_, admin) = cluster.view.admins().into_iter().find(|(node, _)| *node == leader).unwrap();
        let full_name = format!("default/{GROUP}");
        let replica = ReplicaName { group: &full_name, partition: PartitionId(partition) };
        let handed_over = admin.transfer_leadership(replica, None).await.is_ok();
        assert!(map.get("k").await.unwrap().is_some() || before.elapsed() >= TTL, "it is gone too early");
        // The last of them is late enough for a TTL that begins anew to end clearly too late.
        if handed_over && before.elapsed() >= TTL / 2 {
            break Instant::now();
        }
        assert!(before.elapsed() < PATIENCE);
    };
    loop {
        let asked_at = Instant::now();
        if map.get("k").await.unwrap().is_none() {
            break;
        }
        assert!(
            asked_at.duration_since(handed_over_at) < TTL,
            "it is there {:?} after the last leader came, as if its TTL had begun anew",
            asked_at.duration_since(handed_over_at)
        );
        assert!(before.elapsed() < PATIENCE);
        tokio::time::sleep(AGAIN).await;
    }
    assert!(before.elapsed() >= TTL, "it is gone after {:?}", before.elapsed());
    client.close().await;
}
