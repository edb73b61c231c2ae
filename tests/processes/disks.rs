//! Disks that fail, are full, or are slow, under a real load.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use synod_client::admin::{Phase, Replica, ReplicaName, Role};
use synod_tests::running::Wire;
use synod_types::PartitionId;

use crate::agreement::Agreement;
use crate::judge::judge;
use crate::load::{Load, MAP};
use crate::site::{NODES, Options, Site, on_site};
use crate::view::{GROUP, PARTITIONS, PATIENCE, Seen};
use crate::watchers::Watchers;

const PROGRESS: u64 = 20;

/// A load on a site, and all that judges it.
struct Run {
    watchers: Watchers,
    load: Load,
    agreement: Agreement,
}

impl Run {
    async fn start(site: &Site, value_bytes: usize) -> Self {
        let watchers = Watchers::start(&site.view).await;
        let load = Load::start(&site.view, value_bytes).await;
        let run = Self { watchers, load, agreement: Agreement::start(&site.view) };
        run.load.record.progress(PROGRESS).await;
        run
    }

    async fn judge(self, site: &Site) {
        let record = self.load.record.clone();
        let last = self.load.finish().await;
        let acknowledged = judge(&record.history());
        self.watchers.judge(&last, &acknowledged).await;
        self.agreement.judge(&site.view).await;
    }
}

/// The replicas on a node, if it answers.
async fn replicas(site: &Site, node: usize) -> Vec<Replica> {
    let name = site.view.nodes().nth(node).unwrap();
    let seen = site.view.look().await.into_iter();
    seen.filter(|seen| seen.node == name).map(|seen| seen.replica).collect()
}

/// Waits until every replica on a node has stopped, and says why.
async fn have_failed(site: &Site, node: usize) {
    have_stopped(site, node, Phase::Failed, "the disk failed").await;
}

async fn have_stopped(site: &Site, node: usize, phase: Phase, why: &str) {
    let name = site.view.nodes().nth(node).unwrap();
    let failed = site.view.see("every replica on the node has stopped", |seen| {
        let own = seen.iter().filter(|seen| seen.node == name && seen.replica.phase() == phase);
        let problems: Vec<_> = own.map(|seen| seen.replica.problem.clone()).collect();
        (problems.len() == PARTITIONS).then_some(problems)
    });
    let problems = failed.await;
    assert!(problems.iter().all(|problem| problem.contains(why)), "{problems:?}");
}

#[test]
fn f02_a_replica_whose_disk_fails_stops_and_comes_back_only_with_a_new_process() {
    on_site(Options::default(), async |site| {
        let run = Run::start(site, 1).await;
        for fault in ["sync-error", "write-error"] {
            let node = site.leader(0).await;
            site.machines[node].break_disk(fault, "");
            have_failed(site, node).await;
            run.load.record.progress(PROGRESS).await;
            // What the disk says now is worth nothing: what it had accepted may be gone.
            site.machines[node].mend_disk();
            run.load.record.progress(PROGRESS).await;
            let after = replicas(site, node).await;
            assert_eq!(after.len(), PARTITIONS);
            assert!(after.iter().all(|replica| replica.phase() == Phase::Failed), "{fault}: {after:#?}");
            site.kill(node).await;
            site.start(node);
            site.view.is_whole().await;
        }
        run.judge(site).await;
    });
}

#[test]
fn f02_a_node_whose_disk_is_full_loses_nothing_and_goes_on_once_there_is_room() {
    let options = Options {
        volume_bytes: Some(160 << 20),
        arguments: &["--wal-segment-bytes", "4194304", "--snapshot-log-bytes", "4194304"],
    };
    on_site(options, async |site| {
        let run = Run::start(site, 16 << 10).await;
        let node = site.leader(0).await;
        let filler = fill(site, node);
        // What it has set aside for its log is used up first.
        have_stopped(site, node, Phase::Stalled, "the disk is full").await;
        run.load.record.progress(PROGRESS).await;
        std::fs::remove_file(filler).unwrap();
        site.view.is_whole().await;
        run.judge(site).await;
    });
}

/// The replicas that run on a node and that something ails: the partition, what it is, and how far the newest snapshot goes.
fn ailing(seen: &[Seen], name: &str) -> Vec<(u32, String, u64)> {
    let own = seen.iter().filter(|seen| seen.node == name && seen.replica.phase() == Phase::Running);
    let ailing = own.map(|seen| &seen.replica).filter(|replica| !replica.problem.is_empty());
    ailing.map(|it| (it.partition, it.problem.clone(), it.snapshot_log_index)).collect()
}

#[test]
fn f02_a_snapshot_for_which_there_is_no_room_is_told_of_and_saved_once_there_is() {
    // What is set aside for the log lasts for longer than this test.
    let options = Options {
        volume_bytes: Some(256 << 20),
        arguments: &["--wal-segment-bytes", "16777216", "--snapshot-log-bytes", "1048576"],
    };
    on_site(options, async |site| {
        let run = Run::start(site, 1).await;
        let node = site.leader(0).await;
        let name = site.view.nodes().nth(node).unwrap();
        let filler = fill(site, node);
        let refused = snapshot_without_room(site, node).await;
        assert!(refused.contains("snapshot"), "{refused}");
        let told = site.view.see("a replica on the node says that it cannot save a snapshot", |seen| {
            ailing(seen, &name).into_iter().next()
        });
        let (partition, problem, before) = told.await;
        assert!(problem.contains("snapshot") && problem.contains(NO_ROOM), "{problem}");
        run.load.record.progress(PROGRESS).await;
        std::fs::remove_file(filler).unwrap();
        is_well(site, &name).await;
        let replicas = replicas(site, node).await;
        let after = replicas.iter().find(|replica| replica.partition == partition).unwrap();
        assert!(before < after.snapshot_log_index, "{before} {after:?}");
        site.view.is_whole().await;
        run.judge(site).await;
    });
}

/// Cuts a node off from the others, though not from clients, until none of them can give it what it lacks but in snapshots.
async fn leave_behind(site: &Site, node: usize) {
    wire_to_others(site, node, Wire::CUT);
    let name = site.view.nodes().nth(node).unwrap();
    let behind = site.view.see("no log reaches back to where the node is", |seen| {
        let of = |partition: u32| seen.iter().filter(move |seen| seen.replica.partition == partition);
        let is_behind = |partition: u32| {
            let own = of(partition).find(|seen| seen.node == name)?.replica.last_log_index;
            let mut others = of(partition).filter(|seen| seen.node != name);
            let leads = others.clone().any(|seen| seen.replica.role() == Role::Leader);
            (leads && others.all(|seen| own + 1 < seen.replica.first_log_index)).then_some(())
        };
        (0..PARTITIONS as u32).all(|partition| is_behind(partition).is_some()).then_some(())
    });
    behind.await;
}

fn wire_to_others(site: &Site, node: usize, wire: Wire) {
    let others = (0..NODES).filter(|other| *other != node);
    others.for_each(|other| site.wires.set_both(node, other, wire));
}

#[test]
fn f02_a_snapshot_that_a_full_volume_cannot_receive_is_told_of_and_received_once_there_is_room() {
    let options = Options {
        volume_bytes: Some(256 << 20),
        arguments: &[
            "--wal-segment-bytes",
            "16777216",
            "--snapshot-log-bytes",
            "1048576",
            "--log-tail-bytes",
            "0",
        ],
    };
    on_site(options, async |site| {
        let run = Run::start(site, 8 << 10).await;
        let node = site.leader(0).await;
        let name = site.view.nodes().nth(node).unwrap();
        leave_behind(site, node).await;
        let filler = fill(site, node);
        wire_to_others(site, node, Wire::default());
        let told = site.view.see("a replica on the node says that it cannot receive a snapshot", |seen| {
            ailing(seen, &name).into_iter().map(|(_, problem, _)| problem).find(|it| it.contains("received"))
        });
        let problem = told.await;
        assert!(
            problem.contains("a snapshot could not be received") && problem.contains(NO_ROOM),
            "{problem}"
        );
        run.load.record.progress(PROGRESS).await;
        std::fs::remove_file(filler).unwrap();
        is_well(site, &name).await;
        site.view.is_whole().await;
        run.judge(site).await;
    });
}

/// Waits until every replica on a node runs, and nothing ails it.
async fn is_well(site: &Site, name: &str) {
    let well = site.view.see("every replica on the node runs, and nothing ails it", |seen| {
        let runs = |seen: &&Seen| seen.node == name && seen.replica.phase() == Phase::Running;
        (seen.iter().filter(runs).count() == PARTITIONS && ailing(seen, name).is_empty()).then_some(())
    });
    well.await;
}

/// How the system says that a volume is full.
const NO_ROOM: &str = "No space left on device";

/// Asks a replica for a snapshot until there is no room for it: what another one gives back is filled again.
async fn snapshot_without_room(site: &Site, node: usize) -> String {
    let (_, admin) = site.view.admins().swap_remove(node);
    let begun = Instant::now();
    loop {
        let replica = ReplicaName { group: GROUP, partition: PartitionId(0) };
        match admin.snapshot(replica).await.map_err(|error| error.to_string()) {
            Err(problem) if problem.contains(NO_ROOM) => return problem,
            other => assert!(begun.elapsed() < PATIENCE, "there is room: {other:?}"),
        }
        fill(site, node);
    }
}

/// Fills the volume of a node to the last byte.
fn fill(site: &Site, node: usize) -> PathBuf {
    let machine = &site.machines[node];
    let path = machine.path(&machine.data_dir().join("filler"));
    let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
    let mut bytes = vec![0; 1 << 20];
    while !bytes.is_empty() {
        if file.write_all(&bytes).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
    }
    path
}

/// Waits until a node leads nothing any more, while writes go on.
async fn until_it_leads_nothing(site: &Site, node: usize) {
    let begun = Instant::now();
    for partition in 0..PARTITIONS as u32 {
        while site.leader(partition).await == node {
            assert!(begun.elapsed() < PATIENCE, "node {node} still leads partition {partition}");
        }
    }
}

#[test]
fn f15_a_node_with_a_slow_disk_slows_no_other_down_and_leads_nothing() {
    const SYNC: Duration = Duration::from_millis(1_500);
    const WRITES: usize = 15;
    on_site(Options::default(), async |site| {
        let run = Run::start(site, 1).await;
        let slow = site.leader(0).await;
        site.machines[slow].break_disk("sync-ms", &SYNC.as_millis().to_string());
        until_it_leads_nothing(site, slow).await;
        let (client, group) = site.view.client().await;
        let map = group.map(MAP);
        for partition in 0..PARTITIONS as u32 {
            let mut keys = (0..).map(|number| format!("probe-{number}"));
            let key = keys.find(|key| map.partition_of(key).get() == partition).unwrap();
            let mut times = Vec::new();
            for number in 0..WRITES {
                let begun = Instant::now();
                run.load.record.put(u64::MAX, &map, &key, format!("{number}").into()).await.unwrap();
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            println!("partition {partition}, led by node {}: {times:?}", site.leader(partition).await);
            assert!(times[WRITES / 2] < SYNC / 2, "a write waits for the slow disk: {times:?}");
        }
        client.close().await;
        site.machines[slow].mend_disk();
        site.view.is_whole().await;
        run.judge(site).await;
    });
}
