//! `synod node`: runs a node until it is told to stop.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use synod_node::{Config, Node};
use synod_protocol::raft;
use synod_replica as replica;
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

    /// The directory of the certificates: ca.crt, tls.crt and tls.key, as in a Secret of type kubernetes.io/tls. Clients
    /// must then use TLS, and nodes must show a certificate with a URI of the same partition as this one's,
    /// synod://NAMESPACE/GROUP/PARTITION. The files are read again when they change. Without a directory nothing is
    /// encrypted, and anybody who reaches the port for nodes may pose as one.
    #[arg(long, value_name = "DIR", env = "SYNOD_TLS_DIR")]
    tls_dir: Option<PathBuf>,

    /// The size of a segment of the write-ahead log, in bytes.
    #[arg(long, value_name = "BYTES", env = "SYNOD_WAL_SEGMENT_BYTES", default_value_t = 64 << 20)]
    wal_segment_bytes: u64,

    /// How often leaders send heartbeats, in milliseconds. All nodes of a group must agree.
    #[arg(long, value_name = "MS", env = "SYNOD_HEARTBEAT_MS", value_parser = clap::value_parser!(u64).range(10..=5_000))]
    heartbeat_ms: Option<u64>,

    /// How long a follower waits for its leader, in milliseconds. All nodes of a group must agree.
    #[arg(long, value_name = "MS", env = "SYNOD_ELECTION_TIMEOUT_MS", value_parser = clap::value_parser!(u64).range(50..=60_000))]
    election_timeout_ms: Option<u64>,

    /// How much log is applied before the next snapshot is taken, in bytes.
    #[arg(long, value_name = "BYTES", env = "SYNOD_SNAPSHOT_LOG_BYTES", value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 34))]
    snapshot_log_bytes: Option<u64>,

    /// How much log is kept in memory behind a snapshot, for followers that are a little behind, in bytes.
    #[arg(long, value_name = "BYTES", env = "SYNOD_LOG_TAIL_BYTES", value_parser = clap::value_parser!(u64).range(..=1 << 30))]
    log_tail_bytes: Option<u64>,

    /// End at once when standard input does: whoever holds its other end is gone.
    #[arg(long)]
    exit_with_parent: bool,
}

/// Heartbeats for which a follower is bound to its leader; fewer than fit into an election timeout.
const LEASE_HEARTBEATS: u32 = 4;

/// The least heartbeats that fit into an election timeout: one that is late must not end a term.
const ELECTION_HEARTBEATS_MIN: u128 = 5;

impl Arguments {
    fn raft(&self) -> anyhow::Result<raft::Options> {
        let default = raft::Options::default();
        let tick = self.heartbeat_ms.map_or(default.tick, Duration::from_millis);
        let default_timeout = default.tick * u32::try_from(default.election_ticks)?;
        let timeout = self.election_timeout_ms.map_or(default_timeout, Duration::from_millis);
        let ticks = timeout.as_millis().checked_div(tick.as_millis()).unwrap_or(0);
        if ticks < ELECTION_HEARTBEATS_MIN {
            bail!(
                "an election timeout of {} ms is too short for heartbeats every {} ms: use at least {ELECTION_HEARTBEATS_MIN} \
                 times as much",
                timeout.as_millis(),
                tick.as_millis()
            );
        }
        let election_ticks = usize::try_from(ticks)?;
        Ok(raft::Options { tick, election_ticks, lease: tick * LEASE_HEARTBEATS, ..default })
    }
}

/// Ends this process as soon as standard input ends. Nothing is lost: it is as if it had crashed.
fn exit_with_parent() -> anyhow::Result<()> {
    std::thread::Builder::new().name("parent".to_owned()).spawn(|| {
        let mut buffer = [0; 64];
        while std::io::stdin().lock().read(&mut buffer).is_ok_and(|read| read > 0) {}
        // Nobody is left to be told: standard error went with the parent, too.
        std::process::exit(1);
    })?;
    Ok(())
}

/// Runs a node until SIGTERM or SIGINT, then hands over what it leads and stops.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.exit_with_parent {
        exit_with_parent()?;
    }
    let raft = arguments.raft()?;
    let config = Config::new(arguments.name, arguments.data_dir);
    let replica = replica::Options {
        snapshot_log_bytes: arguments.snapshot_log_bytes.unwrap_or(config.replica.snapshot_log_bytes),
        log_tail_bytes: arguments.log_tail_bytes.unwrap_or(config.replica.log_tail_bytes),
        ..config.replica
    };
    let config = Config {
        raft,
        replica,
        client_listen: arguments.client_listen,
        peer_listen: arguments.peer_listen,
        metrics_listen: Some(arguments.metrics_listen),
        client_address: arguments.client_address,
        peer_address: arguments.peer_address,
        tls_dir: arguments.tls_dir,
        wal_segment_bytes: arguments.wal_segment_bytes,
        ..config
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

#[cfg(test)]
mod tests {
    use synod_api::RaftSpec;

    use super::*;

    /// Who reads a default in the documentation of the field gets it, also from a node that is told nothing.
    #[test]
    fn the_defaults_of_the_manifest_are_those_of_the_node() {
        let raft = raft::Options::default();
        let replica = replica::Options::default();
        let election_timeout = raft.tick * u32::try_from(raft.election_ticks).unwrap();
        let expected = RaftSpec {
            heartbeat_ms: u32::try_from(raft.tick.as_millis()).unwrap(),
            election_timeout_ms: u32::try_from(election_timeout.as_millis()).unwrap(),
            snapshot_log_bytes: replica.snapshot_log_bytes,
            log_tail_bytes: replica.log_tail_bytes,
        };
        assert_eq!(RaftSpec::default(), expected);
        assert_eq!(raft.lease, raft.tick * LEASE_HEARTBEATS);
    }
}
