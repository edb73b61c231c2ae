//! How long writes stop when a leader is killed: `cargo run --release --package synod-tests --example failover [KILLS]`.
//!
//! A group of three partitions with three replicas each is written to without a pause. The node that leads a partition
//! is killed with SIGKILL, again and again. The gap is the longest time without an acknowledged write on a partition
//! that it led; how long it took until another node led is measured beside it, to tell elections from the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use synod_client::admin::{Admin, Phase, Replica, Role};
use synod_client::{Client, Map};
use synod_tests::running::{Dev, eventually};
use tokio::time::sleep;

const GROUP: &str = "sample";
const PARTITIONS: u32 = 3;
const WRITERS_EACH: usize = 4;
const KILLS_DEFAULT: usize = 21;

/// How often to look who leads: half of this is the error of the times of elections.
const LOOK: Duration = Duration::from_millis(4);

type Acknowledged = Arc<Mutex<Vec<Instant>>>;

/// What came of killing a node, for a partition that it led.
#[derive(Clone, Copy, Debug)]
struct Gap {
    elected: Duration,
    gap: Duration,
}

#[tokio::main]
async fn main() {
    let kills = std::env::args().nth(1).map_or(KILLS_DEFAULT, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dev = Dev::ready(dir.path(), &[]).await;
    let client = dev.client().await;
    let map = client.group(GROUP).await.unwrap().map("load");
    let acknowledged: Vec<Acknowledged> = (0..PARTITIONS).map(|_| Acknowledged::default()).collect();
    for partition in 0..PARTITIONS {
        for number in 0..WRITERS_EACH {
            let acknowledged = acknowledged[partition as usize].clone();
            tokio::spawn(write(map.clone(), key(&map, partition, number), acknowledged));
        }
    }
    let admins = admins(&dev);
    let mut worst_of_each = Vec::new();
    for kill in 0..kills {
        settle(&admins, &acknowledged).await;
        let partition = u32::try_from(kill).unwrap() % PARTITIONS;
        let leaders = leaders(&admins).await;
        let (victim, _) = leaders[&partition].clone();
        let led: Vec<_> = leaders
            .iter()
            .filter(|(_, (node, _))| *node == victim)
            .map(|(id, (_, term))| (*id, *term))
            .collect();
        let pid = dev.node_pid(GROUP, &victim).unwrap();
        let killed_at = Instant::now();
        kill_process(pid, Signal::KILL).unwrap();
        let gaps = watch(&admins, &victim, &led, &acknowledged, killed_at).await;
        println!("kill {kill} of {victim}: {gaps:?}");
        worst_of_each.extend(gaps.values().copied().max_by_key(|gap| gap.gap));
        eventually("it is started again", || dev.node_pid(GROUP, &victim).is_some_and(|new| new != pid))
            .await;
    }
    report("until another node led", worst_of_each.iter().map(|gap| gap.elected).collect());
    report("without an acknowledged write", worst_of_each.iter().map(|gap| gap.gap).collect());
    Client::close(&client).await;
    dev.stop().await;
}

/// A key that a partition holds.
fn key(map: &Map, partition: u32, number: usize) -> String {
    let mut keys = (0..).map(|salt| format!("key-{number}-{salt}"));
    keys.find(|key| map.partition_of(key).get() == partition).unwrap()
}

async fn write(map: Map, key: String, acknowledged: Acknowledged) {
    for value in 0_u64.. {
        if map.put(&key, value.to_string()).await.is_ok() {
            acknowledged.lock().unwrap().push(Instant::now());
        }
    }
}

fn admins(dev: &Dev) -> Vec<(String, Admin)> {
    let state = dev.state();
    let nodes = state.groups[0].nodes.iter();
    nodes
        .map(|node| (node.name.clone(), Admin::new(&format!("127.0.0.1:{}", node.ports.client)).unwrap()))
        .collect()
}

async fn look(admins: &[(String, Admin)]) -> Vec<(String, Replica)> {
    let ask = admins.iter().map(async |(node, admin)| {
        let status = tokio::time::timeout(Duration::from_millis(500), admin.status()).await;
        let replicas = status.ok().and_then(Result::ok).map(|status| status.replicas).unwrap_or_default();
        replicas.into_iter().map(|replica| (node.clone(), replica)).collect::<Vec<_>>()
    });
    futures::future::join_all(ask).await.into_iter().flatten().collect()
}

/// Who leads each partition, and in which term.
async fn leaders(admins: &[(String, Admin)]) -> BTreeMap<u32, (String, u64)> {
    let mut leaders = BTreeMap::new();
    for (node, replica) in look(admins).await {
        let known = leaders.get(&replica.partition).map_or(0, |(_, term)| *term);
        if replica.role() == Role::Leader && replica.term > known {
            leaders.insert(replica.partition, (node, replica.term));
        }
    }
    leaders
}

/// Waits until every replica runs and has the log, and all partitions acknowledge.
async fn settle(admins: &[(String, Admin)], acknowledged: &[Acknowledged]) {
    loop {
        let replicas = look(admins).await;
        let running = replicas.iter().filter(|(_, replica)| replica.phase() == Phase::Running).count();
        let leads = |replica: &&(String, Replica)| replica.1.role() == Role::Leader;
        let is_level = replicas.iter().filter(leads).all(|(_, leader)| {
            leader.members.iter().all(|member| member.active && member.matched_log_index > 0)
        });
        let are_led = replicas.iter().filter(leads).count() == PARTITIONS as usize;
        if running == 3 * PARTITIONS as usize && is_level && are_led {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let begun = Instant::now();
    while !acknowledged.iter().all(|times| times.lock().unwrap().last().is_some_and(|at| *at > begun)) {
        sleep(LOOK).await;
    }
    // Long enough for the lease of the leader to be of its full length, and for what the restart cost to be over.
    sleep(Duration::from_millis(500)).await;
}

/// Waits until every partition that the victim led has acknowledged writes again.
async fn watch(
    admins: &[(String, Admin)],
    victim: &str,
    led: &[(u32, u64)],
    acknowledged: &[Acknowledged],
    killed_at: Instant,
) -> BTreeMap<u32, Gap> {
    let others: Vec<_> = admins.iter().filter(|(node, _)| node != victim).cloned().collect();
    let mut elected: BTreeMap<u32, Duration> = BTreeMap::new();
    let mut written = 0;
    while elected.len() < led.len() || written < led.len() {
        sleep(LOOK).await;
        for (partition, (_, term)) in leaders(&others).await {
            if led.iter().any(|(id, old)| *id == partition && term > *old) {
                elected.entry(partition).or_insert_with(|| killed_at.elapsed());
            }
        }
        // What was on its way when the node was killed may come a little later.
        let calm = killed_at + Duration::from_millis(50);
        let is_back = |id: u32| acknowledged[id as usize].lock().unwrap().last().is_some_and(|at| *at > calm);
        written = led.iter().filter(|(id, _)| elected.contains_key(id) && is_back(*id)).count();
    }
    let gap = |id: u32| Gap { elected: elected[&id], gap: longest(&acknowledged[id as usize], killed_at) };
    led.iter().map(|(id, _)| (*id, gap(*id))).collect()
}

/// The longest time without an acknowledgement since shortly before a moment.
fn longest(acknowledged: &Acknowledged, since: Instant) -> Duration {
    let times = acknowledged.lock().unwrap();
    let first = times.partition_point(|at| *at < since).saturating_sub(1);
    times[first..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: median {} ms, worst {} ms of {}", median.as_millis(), worst.as_millis(), times.len());
}
