//! A leader that is stopped for longer than its lease, and wakes up with old beliefs and full of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use synod_proto::counter::v1::GetRequest;
use synod_proto::counter::v1::counter_client::CounterClient;
use synod_proto::primitive::v1::PrimitiveReference;
use tokio::task::{JoinHandle, JoinSet};

use crate::agreement::Agreement;
use crate::cluster::Cluster;
use crate::holders::Holders;
use crate::judge::judge;
use crate::load::{Load, WRITERS, counters};
use crate::record::Record;
use crate::view::{GROUP, PARTITIONS, View};
use crate::watchers::Watchers;

const PROGRESS: u64 = 20;

/// How long the nemesis goes on, at least: as many seconds as `SYNOD_PROCESSES_SECONDS` says. Each leader is paused
/// once in any case.
pub(crate) fn duration() -> Duration {
    let seconds = std::env::var("SYNOD_PROCESSES_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_leader_that_wakes_up_tells_nobody_the_past() {
    let begun = Instant::now();
    let cluster = Cluster::start("").await;
    let watchers = Watchers::start(&cluster.view).await;
    let load = Load::start(&cluster.view, 1).await;
    let holders = Holders::start(&cluster.view, &load.record).await;
    let agreement = Agreement::start(&cluster.view);
    let readers = Readers::start(&cluster.view, &load.record);
    load.record.progress(PROGRESS).await;

    let mut pauses = 0;
    while pauses < PARTITIONS || begun.elapsed() < duration() {
        let leader = cluster.view.leader((pauses % PARTITIONS) as u32).await;
        let pid = cluster.pid(&leader).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        // Other leaders are elected and acknowledge writes, of which this one knows nothing.
        load.record.progress(PROGRESS).await;
        kill_process(pid, Signal::CONT).unwrap();
        load.record.progress(PROGRESS).await;
        cluster.view.is_whole().await;
        pauses += 1;
    }

    let reads = readers.finish().await;
    let grants = holders.judge().await;
    let record = load.record.clone();
    let last = load.finish().await;
    println!("{pauses} pauses, {reads} reads at a node that was given, {grants} grants");
    let acknowledged = judge(&record.history());
    watchers.judge(&last, &acknowledged).await;
    agreement.judge(&cluster.view).await;
}

/// How often each node is asked.
const READ_INTERVAL: Duration = Duration::from_millis(50);

/// Readers that ask one node each, whether it answers or not: what they asked while it was stopped it finds when it
/// wakes up.
struct Readers {
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<usize>>,
}

impl Readers {
    fn start(view: &View, record: &Arc<Record>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let readers =
            view.nodes.iter().map(|(_, address)| address).zip(WRITERS + 1..).map(|(address, number)| {
                let endpoint = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
                let client = CounterClient::new(endpoint.connect_lazy());
                tokio::spawn(read(number, client, record.clone(), stop.clone()))
            });
        let readers = readers.collect();
        Self { stop, readers }
    }

    /// Returns how many reads were answered.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        futures::future::join_all(self.readers).await.into_iter().map(Result::unwrap).sum()
    }
}

async fn read(
    number: u64,
    client: CounterClient<tonic::transport::Channel>,
    record: Arc<Record>,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut reads = JoinSet::new();
    let mut answered = 0;
    for name in counters().collect::<Vec<_>>().into_iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (record, mut client) = (record.clone(), client.clone());
        reads.spawn(async move {
            let primitive = PrimitiveReference {
                group: format!("default/{GROUP}"),
                name: name.clone(),
                ..PrimitiveReference::default()
            };
            let invoked_at = record.now();
            let response = client.get(GetRequest { primitive: Some(primitive) }).await;
            // Not every node leads, and one that is stopped may not answer: only what it says has to be right.
            let Ok(response) = response else { return 0 };
            record.counted(number, &name, invoked_at, response.into_inner().value);
            1
        });
        tokio::time::sleep(READ_INTERVAL).await;
        while let Some(done) = reads.try_join_next() {
            answered += done.unwrap();
        }
    }
    answered + reads.join_all().await.into_iter().sum::<usize>()
}
