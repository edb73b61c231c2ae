//! More than a group can do: it refuses, or takes its time, and is soon itself again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use synod_types::ErrorCode;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// How many write at once in the surge, and for how long.
const WRITERS: usize = 4_000;
const CLIENTS: usize = 4;
const SURGE: Duration = Duration::from_secs(4);

/// How long a group may take to be itself again, and what one write takes then at most.
const RECOVERY: Duration = Duration::from_secs(10);
const USUAL: Duration = Duration::from_secs(1);

/// What a node may have in memory, far below what the surge would take if all of it were kept.
const MEMORY_KB_MAX: u64 = 512 << 10;

fn memory_kb(pid: rustix::process::Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_a_surge_is_soon_forgotten() {
    let cluster = Cluster::start("").await;
    let clients = futures::future::join_all((0..CLIENTS).map(|_| cluster.view.client())).await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + SURGE;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let counter = clients[number % CLIENTS].1.counter("surge");
        let map = clients[number % CLIENTS].1.map("surge");
        let acknowledged = acknowledged.clone();
        writers.spawn(async move {
            let mut unknown = 0;
            while Instant::now() < end {
                match counter.increment(1).await {
                    Ok(_) => drop(acknowledged.fetch_add(1, Ordering::SeqCst)),
                    Err(error) if error.code() == ErrorCode::ResourceExhausted => {}
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        unknown += 1;
                    }
                }
                // The outcome of these is of no interest: they are there to be many.
                let _ = map.put(format!("key-{number}"), vec![0; 512]).await;
            }
            unknown
        });
    }
    let unknown: u64 = writers.join_all().await.into_iter().sum();
    let calm_since = Instant::now();
    let (client, group) = cluster.view.client().await;
    let counter = group.counter("surge");
    let mut is_usual = false;
    while !is_usual {
        assert!(calm_since.elapsed() < RECOVERY, "writes still take long");
        let begun = Instant::now();
        counter.increment(1).await.unwrap();
        acknowledged.fetch_add(1, Ordering::SeqCst);
        is_usual = begun.elapsed() < USUAL;
    }
    let (value, acknowledged) = (counter.get().await.unwrap(), acknowledged.load(Ordering::SeqCst));
    println!("{acknowledged} increments acknowledged, {unknown} unknown; {value} counted");
    assert!((acknowledged..=acknowledged + unknown).contains(&u64::try_from(value).unwrap()));
    for node in cluster.view.nodes() {
        let memory_kb = memory_kb(cluster.pid(&node).unwrap());
        assert!(memory_kb < MEMORY_KB_MAX, "{node} had {memory_kb} kB in memory");
    }
    client.close().await;
    futures::future::join_all(clients.iter().map(|(client, _)| client.close())).await;
}
