//! The group under test: three partitions of three replicas each, on three nodes of one `synod dev`.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use synod_tests::running::{Dev, eventually, lives};

use crate::view::{GROUP, PARTITIONS, View};

/// A running group, and where its data is.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    dev: Dev,
    pub(crate) view: View,
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
        Self { view: view(&dev), dir, arguments, dev }
    }

    /// The directory with the data of a node.
    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.dev.group_dir(GROUP).join(node)
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
        let Self { dir, arguments, mut dev, view } = self;
        // It must not start them again.
        dev.signal(Signal::STOP);
        let pids: Vec<_> = view.nodes().filter_map(|node| dev.node_pid(GROUP, &node)).collect();
        assert_eq!(pids.len(), view.nodes.len(), "every node has a process");
        for pid in &pids {
            kill_process(*pid, Signal::KILL).unwrap();
        }
        dev.signal(Signal::KILL);
        dev.ended().await;
        eventually("all nodes have ended", || pids.iter().all(|pid| !lives(*pid))).await;
        let dev = ready(dir.path(), &arguments).await;
        Self { dir, arguments, dev, view }
    }
}

fn view(dev: &Dev) -> View {
    let state = dev.state();
    let address = |port: u16| format!("127.0.0.1:{port}");
    let nodes = state.groups[0].nodes.iter();
    let nodes = nodes.map(|node| (node.name.clone(), address(node.ports.client))).collect();
    View { controller: Some(dev.controller_address()), nodes }
}

async fn ready(dir: &Path, arguments: &[String]) -> Dev {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Dev::ready(&dir.join("data"), &arguments).await
}
