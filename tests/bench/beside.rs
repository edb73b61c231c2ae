//! What others do to Synod while a load is measured.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use synod_client::admin::{Admin, ReplicaName};
use synod_proto::session::v1::session_client::SessionClient;
use synod_proto::session::v1::{ClientFrame, Hello, Request, Watch, request};
use synod_types::{PartitionId, PrimitiveId, PrimitiveKind};
use tokio::runtime::Runtime;

use crate::servers::{Binaries, GROUP, NAMESPACE, Servers, System};

/// The map that `synod bench` writes to.
const APPLICATION: &str = "synod-bench";
const MAP: &str = "bench";

/// How many watches one stream has that nobody reads.
const STUCK_WATCHES: u64 = 100;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// One client writes values of 1 MiB, one after another.
    GreatValues,
    /// A client watches everything, and never takes anything off the wire.
    StuckWatcher,
    /// Every member takes one snapshot after another.
    Snapshots,
}

/// It goes on until this is dropped.
pub(crate) struct Going {
    child: Option<Child>,
    _runtime: Option<Runtime>,
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Beside {
    /// Begins to do it.
    pub(crate) fn begin(self, binaries: &Binaries, servers: &Servers) -> anyhow::Result<Going> {
        let mut going = Going { child: None, _runtime: None };
        if self == Self::Nothing {
            return Ok(going);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        match self {
            Self::Nothing => {}
            Self::GreatValues => going.child = Some(great_values(binaries, servers)?),
            Self::StuckWatcher => {
                let endpoint = servers.leader()?;
                runtime.block_on(stuck_watcher(&endpoint))?;
            }
            Self::Snapshots => {
                let _entered = runtime.enter();
                for endpoint in servers.endpoints() {
                    runtime.spawn(snapshots(Admin::new(&endpoint)?));
                }
            }
        }
        going._runtime = Some(runtime);
        Ok(going)
    }
}

fn great_values(binaries: &Binaries, servers: &Servers) -> anyhow::Result<Child> {
    let mut command = Command::new(binaries.load(System::Synod));
    command.args(["bench", "--quiet", "--namespace", NAMESPACE, "--group", GROUP, "--clients", "1"]);
    command.args(["--connections", "1", "--keys", "16", "--value-bytes", "1048576", "--duration-s", "86400"]);
    command.args(["--endpoints", &servers.endpoints().join(",")]);
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Opens a stream with watches of all keys, sees that they are there, and leaves it alone.
async fn stuck_watcher(endpoint: &str) -> anyhow::Result<()> {
    let primitive = PrimitiveId::of(APPLICATION, PrimitiveKind::Map, MAP).get();
    let watch = |tag| {
        let watch = Watch { primitive, after_position: 0, filter: None, seen_index: 0 };
        Request { tag, body: Some(request::Body::Watch(watch)) }
    };
    let hello = Hello { group: format!("{NAMESPACE}/{GROUP}"), partition: 0, client: "stuck".into() };
    let requests = (1..=STUCK_WATCHES).map(watch).collect();
    let frames = futures::stream::iter([ClientFrame { hello: Some(hello), requests }]);
    let frames = frames.chain(futures::stream::pending());
    let mut client = SessionClient::connect(format!("http://{endpoint}")).await?;
    let mut inbound = client.stream(frames).await?.into_inner();
    let first = inbound.message().await?.context("the stream ends at once")?;
    ensure!(!first.replies.is_empty(), "the watches are not answered: {first:?}");
    // Nobody reads it, and nobody drops it, as long as the runtime is there.
    tokio::spawn(async move {
        let _inbound = inbound;
        std::future::pending::<()>().await;
    });
    Ok(())
}

async fn snapshots(admin: Admin) {
    let group = format!("{NAMESPACE}/{GROUP}");
    loop {
        let replica = ReplicaName { group: &group, partition: PartitionId(0) };
        // One that is refused, because another is being written, is asked for again.
        if admin.snapshot(replica).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
