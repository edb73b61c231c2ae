//! The group under test on machines of its own: three nodes, each a `synod node`, with a network and disks that can be
//! made to fail.

use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::try_join_all;
use synod_client::Result;
use synod_client::admin::{Birth, Member, ReplicaName};
use synod_tests::running::{Machine, Wires, address, binary};
use synod_types::{PartitionId, slot_count};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::view::{AGAIN, GROUP, PARTITIONS, PATIENCE, View};

pub(crate) const NODES: usize = 3;

/// The machine of the test itself, with all clients, stands beside those of the nodes.
pub(crate) const CLIENTS: usize = NODES;

/// How a site is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// The size of the volume of each node; none: as much as the machine has.
    pub(crate) volume_bytes: Option<u64>,
    /// What else each node is told.
    pub(crate) arguments: &'static [&'static str],
}

/// A running group. What stands first goes first.
pub(crate) struct Site {
    nodes: Vec<Option<Child>>,
    pub(crate) wires: Wires,
    pub(crate) machines: Vec<Machine>,
    pub(crate) view: View,
    options: Options,
    dir: tempfile::TempDir,
}

/// Runs a test on the machine of the clients, beside a group that is ready.
pub(crate) fn on_site(options: Options, test: impl AsyncFnOnce(&mut Site) + Send) {
    let dir = tempfile::tempdir().unwrap();
    let machine = |number: usize| {
        let volume_bytes = options.volume_bytes.filter(|_| number != CLIENTS);
        Machine::start(&dir.path().join(number.to_string()), volume_bytes)
    };
    let machines: Vec<_> = (0..=CLIENTS).map(machine).collect();
    let wires = Wires::between(&machines);
    let nodes = (0..NODES).map(|number| (name(number), format!("{}:5678", address(number))));
    let view = View { controller: None, nodes: nodes.collect() };
    // A thread that is on another machine does not come back.
    let run = move || {
        machines[CLIENTS].join_network();
        let mut site =
            Site { nodes: (0..NODES).map(|_| None).collect(), wires, machines, view, options, dir };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            site.begin().await;
            test(&mut site).await;
        });
    };
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

impl Site {
    /// Starts all nodes and the life of every partition.
    async fn begin(&mut self) {
        for node in 0..NODES {
            self.start(node);
        }
        timeout(PATIENCE, async {
            while let Err(error) = self.bootstrap().await {
                assert!(error.is_retryable(), "{error}");
                sleep(AGAIN).await;
            }
        })
        .await
        .expect("the nodes begin in time");
        self.view.is_whole().await;
    }

    async fn bootstrap(&self) -> Result<()> {
        let (admins, group) = (self.view.admins(), format!("default/{GROUP}"));
        let born = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let partitions = PARTITIONS as u32;
        for partition in 0..partitions {
            let replica = ReplicaName { group: &group, partition: PartitionId(partition) };
            let prepared = try_join_all(admins.iter().map(|(_, admin)| admin.prepare(replica))).await?;
            let members = prepared.iter().enumerate().map(|(node, prepared)| Member {
                id: prepared.member.get(),
                node: name(node),
                peer_address: format!("{}:5680", address(node)),
                client_address: format!("{}:5678", address(node)),
                role: 0,
            });
            let birth = Birth {
                group: group.clone(),
                partition,
                members: members.collect(),
                partitions,
                slots: slot_count(partitions).unwrap(),
                limits: None,
                born_ms: u64::try_from(born.as_millis()).unwrap(),
            };
            try_join_all(admins.iter().map(|(_, admin)| admin.bootstrap(birth.clone()))).await?;
        }
        Ok(())
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, node: usize) {
        let address = address(node);
        let listen = |port: u16| format!("{address}:{port}");
        let log = std::fs::File::options().create(true).append(true).open(self.log(node)).unwrap();
        let mut command = self.machines[node].command(binary());
        command.args(["node", "--exit-with-parent", "--name", &name(node), "--data-dir"]);
        command.arg(self.machines[node].data_dir());
        command.args(["--client-listen", &listen(5678), "--peer-listen", &listen(5680)]);
        command.args(["--metrics-listen", &listen(9090)]).args(self.options.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        self.nodes[node] = Some(command.spawn().unwrap());
    }

    /// Kills the process of a node.
    pub(crate) async fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        child.kill().await.unwrap();
    }

    /// The node that leads a partition.
    pub(crate) async fn leader(&self, partition: u32) -> usize {
        let leader = self.view.leader(partition).await;
        self.view.nodes().position(|name| name == leader).unwrap()
    }

    fn log(&self, node: usize) -> std::path::PathBuf {
        self.dir.path().join(node.to_string()).join("log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (0..NODES).for_each(|node| show_end(&name(node), &self.log(node)));
        }
    }
}

/// Shows what a node said last.
fn show_end(name: &str, log: &Path) {
    const LINES: usize = 40;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(LINES)..];
    println!("-- {name} said last:\n{}", end.join("\n"));
}
