//! `synod node`: runs a node until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use synod_node::{Config, Node};
use tokio::signal::unix::{SignalKind, signal};

/// What a node is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The name of this node, unique in its group.
    #[arg(long, env = "SYNOD_NODE_NAME")]
    name: String,

    /// Where to keep everything.
    #[arg(long, value_name = "DIR", env = "SYNOD_DATA_DIR")]
    data_dir: PathBuf,

    /// Where to serve clients and operators.
    #[arg(long, value_name = "ADDRESS", env = "SYNOD_CLIENT_LISTEN", default_value = "0.0.0.0:5678")]
    client_listen: SocketAddr,

    /// Where to serve other nodes.
    #[arg(long, value_name = "ADDRESS", env = "SYNOD_PEER_LISTEN", default_value = "0.0.0.0:5680")]
    peer_listen: SocketAddr,

    /// Where to serve metrics and health over HTTP.
    #[arg(long, value_name = "ADDRESS", env = "SYNOD_METRICS_LISTEN", default_value = "0.0.0.0:9090")]
    metrics_listen: SocketAddr,

    /// The host:port at which clients reach this node, if it is not the one it listens on.
    #[arg(long, value_name = "HOST:PORT", env = "SYNOD_CLIENT_ADDRESS")]
    client_address: Option<String>,

    /// The host:port at which other nodes reach this node, if it is not the one it listens on.
    #[arg(long, value_name = "HOST:PORT", env = "SYNOD_PEER_ADDRESS")]
    peer_address: Option<String>,

    /// The size of a segment of the write-ahead log, in bytes.
    #[arg(long, value_name = "BYTES", env = "SYNOD_WAL_SEGMENT_BYTES", default_value_t = 64 << 20)]
    wal_segment_bytes: u64,
}

/// Runs a node until SIGTERM or SIGINT, then hands over what it leads and stops.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config {
        client_listen: arguments.client_listen,
        peer_listen: arguments.peer_listen,
        metrics_listen: Some(arguments.metrics_listen),
        client_address: arguments.client_address,
        peer_address: arguments.peer_address,
        wal_segment_bytes: arguments.wal_segment_bytes,
        ..Config::new(arguments.name, arguments.data_dir)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let node = Node::start(config).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        node.stop().await;
        Ok(())
    })
}
