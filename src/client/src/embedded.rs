//! A group inside the caller's process, for the tests of programs that use this crate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use synod_node::{Config, Node};
use synod_types::{ErrorCode, PartitionId, slot_count};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::admin::{Admin, Birth, Member, ReplicaName};
use crate::builder::ClientBuilder;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::resolver::FixedResolver;

const NAMESPACE: &str = "default";
const GROUP: &str = "embedded";

/// How long the group may take to be ready, on a machine that has much else to do.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Small segments of the log, for little is written; but the greatest request has to fit into one.
const SEGMENT_BYTES: u64 = 4 << 20;

/// Starts a group of one node in this process when it is awaited; see [`Client::embedded`].
#[derive(Clone, Debug)]
#[must_use = "nothing is started until it is awaited"]
pub struct EmbeddedBuilder {
    partitions: u32,
    client: ClientBuilder,
}

impl Client {
    /// A client of a group that runs inside this process, for tests: one node on a free port of the loopback interface,
    /// one replica a partition, in a directory that is removed with the last clone of the client and all that came from
    /// it. It is ready when this returns.
    ///
    /// ```
    /// # async fn example() -> synod_client::Result<()> {
    /// let client = synod_client::Client::embedded().partitions(3).await?;
    /// let group = client.default_group().await?;
    /// group.map("users").put("alice", "1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn embedded() -> EmbeddedBuilder {
        EmbeddedBuilder { partitions: 1, client: ClientBuilder::new() }
    }
}

impl EmbeddedBuilder {
    /// How many partitions the group has; one if nothing is said.
    pub const fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// What else to tell the client. Where the group is, it knows.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.client = client;
        self
    }

    async fn start(self) -> Result<Client> {
        slot_count(self.partitions)?;
        let embedded = Embedded::start().await?;
        let address = embedded.address.to_string();
        let birth = bootstrap(&address, self.partitions);
        tokio::time::timeout(READY_TIMEOUT, birth)
            .await
            .map_err(|_| Error::new(ErrorCode::Timeout, "the embedded group is not ready in time"))??;
        let resolver = FixedResolver::new(NAMESPACE, GROUP, self.partitions, [address])?;
        let mut builder = self.client.resolver(resolver).namespace(NAMESPACE).group(GROUP);
        builder.embedded = Some(Arc::new(embedded));
        builder.build().await
    }
}

impl IntoFuture for EmbeddedBuilder {
    type Output = Result<Client>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.start().boxed()
    }
}

/// A node on a thread and a runtime of its own, so that it goes down with all that belongs to it, whatever the runtime of
/// the caller does.
#[derive(Debug)]
pub(crate) struct Embedded {
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// Dropping it stops the node.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    dir: TempDir,
}

impl Embedded {
    async fn start() -> Result<Self> {
        let dir = tempfile::tempdir().map_err(|error| failed(&error.to_string()))?;
        let config = config(&dir);
        let (started, is_started) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("synod embedded".to_owned())
            .spawn(move || run(config, started, stopping))
            .map_err(|error| failed(&format!("no thread can be started: {error}")))?;
        let address = is_started.await.map_err(|_| failed("its thread has ended"))??;
        Ok(Self { address, running: Mutex::new(Some(Running { stop, thread, dir })) })
    }

    /// Stops the node and removes its directory.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread, dir }) = running {
            drop(stop);
            // What it would say is in the log.
            let _ = thread.join();
            // First everything that writes has gone, then what it wrote to.
            drop(dir);
        }
    }

    /// Where it keeps everything while it runs.
    #[cfg(test)]
    pub(crate) fn dir(&self) -> Option<std::path::PathBuf> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|running| running.dir.path().to_owned())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a node until it is told to stop. Nothing is handed over or saved.
fn run(config: Config, started: oneshot::Sender<Result<SocketAddr>>, stopping: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(failed(&error.to_string())));
            return;
        }
    };
    runtime.block_on(async {
        match Node::start(config).await {
            Ok(node) => {
                if started.send(Ok(node.client_address())).is_ok() {
                    // Both an order and the end of whoever could give one.
                    let _ = stopping.await;
                }
            }
            Err(error) => {
                let _ = started.send(Err(failed(&error.to_string())));
            }
        }
    });
}

fn config(dir: &TempDir) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        client_listen: any,
        peer_listen: any,
        metrics_listen: None,
        wal_segment_bytes: SEGMENT_BYTES,
        ..Config::new("embedded", dir.path())
    }
}

fn failed(why: &str) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the embedded node cannot be started: {why}"))
}

/// Begins the life of every partition.
async fn bootstrap(address: &str, partitions: u32) -> Result<()> {
    let admin = Admin::new(address)?;
    let group = format!("{NAMESPACE}/{GROUP}");
    let slots = slot_count(partitions)?;
    let born = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let born_ms = u64::try_from(born.as_millis()).unwrap_or(u64::MAX);
    let births = (0..partitions).map(|partition| {
        let (admin, group) = (admin.clone(), group.clone());
        async move {
            let replica = ReplicaName { group: &group, partition: PartitionId(partition) };
            let prepared = admin.prepare(replica).await?;
            let member = Member {
                id: prepared.member.get(),
                node: "embedded".to_owned(),
                // Nobody else is there to use it.
                peer_address: "127.0.0.1:0".to_owned(),
                client_address: address.to_owned(),
                role: 0,
            };
            let members = vec![member];
            admin
                .bootstrap(Birth { group, partition, members, partitions, slots, limits: None, born_ms })
                .await
        }
    });
    try_join_all(births).await?;
    Ok(())
}
