//! What a node is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use synod_protocol::raft;
use synod_replica as replica;

/// The greatest frame of a client: a greatest request with room for what comes with it in one frame.
pub(crate) const FRAME_BYTES_MAX: usize = 9 << 20;

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, unique in the group: on Kubernetes the pod's.
    pub name: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where clients, operators and foreign dialects are served.
    pub client_listen: SocketAddr,
    /// Where other nodes are served.
    pub peer_listen: SocketAddr,
    /// Where metrics and health are served over HTTP, if at all.
    pub metrics_listen: Option<SocketAddr>,
    /// The host:port at which clients reach `client_listen`; the bound address if it is left out.
    pub client_address: Option<String>,
    /// The host:port at which other nodes reach `peer_listen`; the bound address if it is left out.
    pub peer_address: Option<String>,
    /// Where the certificates are, as a Secret of type `kubernetes.io/tls` has them: `ca.crt`, `tls.crt` and `tls.key`.
    /// They are read again when they change. Nothing is encrypted, and anybody may pose as a node, if it is left out.
    pub tls_dir: Option<PathBuf>,
    /// How replicas behave in time.
    pub raft: raft::Options,
    /// How much replicas let be under way.
    pub replica: replica::Options,
    /// The size of a segment of the write-ahead log, in bytes. It must hold the greatest request of every partition.
    pub wal_segment_bytes: u64,
}

impl Config {
    /// A node with the usual ports on all addresses.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            client_listen: any(5678),
            peer_listen: any(5680),
            metrics_listen: Some(any(9090)),
            client_address: None,
            peer_address: None,
            tls_dir: None,
            raft: raft::Options::default(),
            replica: replica::Options::default(),
            wal_segment_bytes: 64 << 20,
        }
    }
}

/// A port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What for.
    pub purpose: &'static str,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}
