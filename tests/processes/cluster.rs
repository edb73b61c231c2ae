//! The group under test: three partitions of three replicas each, on three nodes of one `synod dev`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use synod_client::admin::{Admin, Phase, Replica, Role};
use synod_client::{Client, Group};
use synod_tests::running::{Dev, eventually, lives};
use tokio::time::sleep;

pub(crate) const PARTITIONS: usize = 3;
pub(crate) const GROUP: &str = "sample";

/// How long anything may take before it counts as hanging. Many tests share a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How long to wait before looking again.
const AGAIN: Duration = Duration::from_millis(20);

/// A running group, and where its data is.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    dev: Dev,
}

/// What a node says of a replica.
pub(crate) struct Seen {
    pub(crate) node: String,
    pub(crate) replica: Replica,
}

impl Cluster {
    /// Starts a group, and waits until it is ready.
    pub(crate) async fn start(spec: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("group.yaml");
        let head = format!(
            "apiVersion: synod.dev/v1alpha1\nkind: PartitionGroup\nmetadata: {{name: {GROUP}}}\nspec:\n  \
             partitions: {PARTITIONS}\n  replicas: 3\n"
        );
        std::fs::write(&file, head + spec).unwrap();
        let arguments = vec![file.to_str().unwrap().to_owned()];
        let dev = ready(dir.path(), &arguments).await;
        Self { dir, arguments, dev }
    }

    /// A client of the group. It has all the patience of the test, so that hardly any outcome stays unknown.
    pub(crate) async fn client(&self) -> (Client, Group) {
        let controller = format!("http://{}", self.dev.controller_address());
        let client =
            Client::builder().controller(controller).request_timeout(PATIENCE).build().await.unwrap();
        let group = client.group(GROUP).await.unwrap();
        (client, group)
    }

    pub(crate) fn nodes(&self) -> Vec<String> {
        self.dev.state().groups[0].nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The directory with the data of a node.
    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.dev.group_dir(GROUP).join(node)
    }

    /// The host:port of each node, for clients.
    pub(crate) fn client_addresses(&self) -> Vec<String> {
        let state = self.dev.state();
        state.groups[0].nodes.iter().map(|node| format!("127.0.0.1:{}", node.ports.client)).collect()
    }

    /// The admin service of each node.
    pub(crate) fn admins(&self) -> Vec<(String, Admin)> {
        let admins = self.client_addresses().into_iter().map(|address| Admin::new(&address).unwrap());
        self.nodes().into_iter().zip(admins).collect()
    }

    /// What all nodes that answer say now.
    pub(crate) async fn look(&self) -> Vec<Seen> {
        look(&self.admins()).await
    }

    /// Waits until what the nodes say is as it should be.
    pub(crate) async fn see<T>(&self, what: &str, mut find: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let seen = self.look().await;
            if let Some(found) = find(&seen) {
                return found;
            }
            let told: Vec<_> = seen.iter().map(|seen| (&seen.node, &seen.replica)).collect();
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {told:#?}");
            sleep(AGAIN).await;
        }
    }

    /// The node that leads a partition.
    pub(crate) async fn leader(&self, partition: u32) -> String {
        self.see(&format!("a leader of partition {partition}"), |seen| {
            let leads =
                |seen: &&Seen| seen.replica.partition == partition && seen.replica.role() == Role::Leader;
            seen.iter().filter(leads).max_by_key(|seen| seen.replica.term).map(|seen| seen.node.clone())
        })
        .await
    }

    /// Waits until every replica runs, votes and has a leader.
    pub(crate) async fn is_whole(&self) {
        self.see("every replica runs", |seen| {
            let running = seen.iter().filter(|seen| {
                let Replica { leader, members, .. } = &seen.replica;
                seen.replica.phase() == Phase::Running && *leader != 0 && members.len() == 3
            });
            let nodes: BTreeSet<_> = seen.iter().map(|seen| &seen.node).collect();
            (running.count() == 3 * PARTITIONS && nodes.len() == 3).then_some(())
        })
        .await;
    }

    pub(crate) fn pid(&self, node: &str) -> Option<Pid> {
        self.dev.node_pid(GROUP, node)
    }

    /// Kills the processes of nodes at one moment, and waits until other ones run in their places.
    pub(crate) async fn kill(&self, nodes: &[String]) {
        let mut pids = Vec::new();
        for node in nodes {
            eventually("the node has a process", || self.pid(node).is_some()).await;
            pids.push(self.pid(node).unwrap());
        }
        for pid in &pids {
            kill_process(*pid, Signal::KILL).unwrap();
        }
        for (node, old) in nodes.iter().zip(pids) {
            eventually("another process takes its place", || self.pid(node).is_some_and(|pid| pid != old))
                .await;
        }
    }

    /// Kills every process, the supervisor too, and starts all again.
    pub(crate) async fn kill_all(self) -> Self {
        let Self { dir, arguments, mut dev } = self;
        let names = dev.state().groups[0].nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
        // It must not start them again.
        dev.signal(Signal::STOP);
        let pids: Vec<_> = names.iter().filter_map(|node| dev.node_pid(GROUP, node)).collect();
        assert_eq!(pids.len(), names.len(), "every node has a process");
        for pid in &pids {
            kill_process(*pid, Signal::KILL).unwrap();
        }
        dev.signal(Signal::KILL);
        dev.ended().await;
        eventually("all nodes have ended", || pids.iter().all(|pid| !lives(*pid))).await;
        let dev = ready(dir.path(), &arguments).await;
        Self { dir, arguments, dev }
    }
}

async fn ready(dir: &Path, arguments: &[String]) -> Dev {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Dev::ready(&dir.join("data"), &arguments).await
}

/// What the nodes that answer say.
pub(crate) async fn look(admins: &[(String, Admin)]) -> Vec<Seen> {
    let ask = admins.iter().map(async |(node, admin)| {
        let status = tokio::time::timeout(Duration::from_secs(1), admin.status()).await;
        let replicas = status.ok().and_then(Result::ok).map(|status| status.replicas).unwrap_or_default();
        replicas.into_iter().map(|replica| Seen { node: node.clone(), replica }).collect::<Vec<_>>()
    });
    futures::future::join_all(ask).await.into_iter().flatten().collect()
}
