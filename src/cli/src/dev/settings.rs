//! What `synod dev` is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use synod_operator::controller::GroupKey;

use super::ports::Scheme;

/// Run groups on this machine, without Kubernetes, for development and tests.
///
/// The files are those that Kubernetes takes: PartitionGroups and Primitives, any number of each. Without files a
/// group "sample" of three partitions with three replicas each is run. For each replica of a group there is one
/// process, which hosts one replica of every partition; whatever of them crashes is started again, and whatever loses
/// its data is replaced by a new member.
///
/// Everything is kept in the data directory and survives restarts. Nothing is encrypted, whatever the files say of
/// that: it is meant for the loopback interface. Ctrl-C stops all.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// YAML or JSON files with PartitionGroups and Primitives.
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,

    /// Where to keep everything.
    #[arg(long, value_name = "DIR", env = "SYNOD_DEV_DATA_DIR", default_value = ".synod")]
    data_dir: PathBuf,

    /// The address to listen on. Anybody who can reach it can read and write everything.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// Use ports from this one on, instead of the usual ones. Only for groups that are new.
    #[arg(long, value_name = "PORT", conflicts_with = "ports")]
    port_base: Option<u16>,

    /// How to choose ports: the usual ones, or any that are free. Only for groups that are new.
    #[arg(long, value_name = "HOW")]
    ports: Option<PortChoice>,

    /// Print what the nodes log, too.
    #[arg(long, short)]
    verbose: bool,
}

/// How to choose ports.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PortChoice {
    /// Those of the table below.
    Usual,
    /// Any that are free. They are remembered.
    Auto,
}

const EXAMPLES: &str = "\
Ports:
  what                 usual        with --port-base B
  controller           5679         B + 1
  node N: clients      5678 + 10 N  B + 10 N
  node N: other nodes  5680 + 10 N  B + 10 N + 2
  node N: metrics      9090 + 10 N  B + 10 N + 3
Nodes are counted over all groups. A group keeps its ports for ever, because its members know each other by them.

Data:
  <DIR>/state.yaml                        what was decided: specs, ports, how each partition began
  <DIR>/<namespace>/<group>/node-<N>/     the data of a node; delete it, and a new member takes its place
  <DIR>/<namespace>/<group>/node-<N>.log  what the node logs
  <DIR>/<namespace>/<group>/node-<N>.pid  the id of its process, while it runs; kill it, and it is started again

Examples:
  synod dev
  synod dev config/samples/partitiongroup.yaml config/samples/primitive.yaml
  synod dev --data-dir /tmp/synod --ports auto

Exit codes: 0 stopped, 1 this machine does not allow it, 2 the files are wrong, 130 killed by a second Ctrl-C.";

/// What `synod dev` is told, resolved.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) files: Vec<PathBuf>,
    /// Absolute.
    pub(super) data_dir: PathBuf,
    pub(super) listen: IpAddr,
    /// If it was said.
    pub(super) scheme: Option<Scheme>,
    pub(super) verbose: bool,
    /// The binary, of which the nodes are processes.
    pub(super) executable: PathBuf,
}

impl Settings {
    pub(super) fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let Arguments { files, data_dir, listen, port_base, ports, verbose } = arguments;
        let chosen = ports.map(|choice| match choice {
            PortChoice::Usual => Scheme::Usual,
            PortChoice::Auto => Scheme::Auto,
        });
        let data_dir = std::path::absolute(&data_dir)
            .with_context(|| format!("there is no directory \"{}\"", data_dir.display()))?;
        let executable = std::env::current_exe().context("cannot tell where this program is")?;
        let scheme = port_base.map(Scheme::From).or(chosen);
        Ok(Self { files, data_dir, listen, scheme, verbose, executable })
    }

    /// The address by which members and clients know the nodes.
    pub(super) fn host(&self) -> IpAddr {
        match self.listen {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        }
    }

    /// The host:port by which members and clients know what listens on a port.
    pub(super) fn address(&self, port: u16) -> String {
        SocketAddr::new(self.host(), port).to_string()
    }

    /// The directory of a group.
    pub(super) fn group_dir(&self, (namespace, name): &GroupKey) -> PathBuf {
        self.data_dir.join(namespace).join(name)
    }

    /// The directory of a node.
    pub(super) fn node_dir(&self, group: &GroupKey, node: &str) -> PathBuf {
        self.group_dir(group).join(node)
    }

    /// Where a node logs: beside its directory, because that may be deleted.
    pub(super) fn node_log(&self, group: &GroupKey, node: &str) -> PathBuf {
        self.group_dir(group).join(format!("{node}.log"))
    }

    /// Where the process id of a node is, while it runs.
    pub(super) fn node_pid(&self, group: &GroupKey, node: &str) -> PathBuf {
        self.group_dir(group).join(format!("{node}.pid"))
    }

    /// The data directory as the person at the terminal would write it.
    pub(super) fn shown_data_dir(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let shown: &Path = self.data_dir.strip_prefix(here).unwrap_or(&self.data_dir);
        shown.display().to_string()
    }
}
