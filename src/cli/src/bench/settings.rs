//! What `synod bench` is told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::connect::Target;
use super::keys::Distribution;
use super::mix::Mix;
use crate::output::Printing;

/// Put load on a group and measure what it does.
///
/// By default each client does one operation after another (a closed loop), which finds out how much the group can do.
/// With --rate, operations begin at that rate whether earlier ones are done or not (an open loop), which finds out how
/// long they take at that load: latencies count from when an operation was to begin.
///
/// What is written stays there, in primitives whose names begin with "bench", of the application "synod-bench".
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,

    /// What to do, with weights: put, get, get-sequential, increment, lock (acquire and release).
    #[arg(long, value_name = "OP=WEIGHT,...", default_value = "put=1")]
    mix: Mix,

    /// How many operations are under way at the same time, at most.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,

    /// Over how many connections, each with a session of its own. The clients are spread over them.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,

    /// Begin this many operations per second, instead of one as soon as another is done.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// How long to measure, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration_s: u32,

    /// How long to run before that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=86_400))]
    warmup_s: u32,

    /// How many keys the map has.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,

    /// The size of a key.
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    key_bytes: u16,

    /// The size of a value.
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(..=4 << 20))]
    value_bytes: u32,

    /// Which keys are used how often: uniform, or zipf (few are used much, with exponent 0.99).
    #[arg(long, value_name = "HOW", default_value = "uniform")]
    distribution: Distribution,

    /// Over how many counters and locks increments and lock pairs are spread; one for each client if it is not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    names: Option<u32>,

    /// Write every key of the map before anything is measured.
    #[arg(long)]
    fill: bool,

    /// How many watchers of the map there are meanwhile.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    watchers: u32,

    /// Which keys they watch: those that begin like this. Keys are numbers with leading zeros.
    #[arg(long, value_name = "PREFIX", default_value = "0")]
    watch_prefix: String,

    /// How many sessions there are meanwhile that do nothing, each kept alive: on the first partition.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    sessions: u32,

    /// The timeout of those, of which a fourth is how often they are kept alive.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    session_timeout_s: u32,

    /// The process of a server, of which to measure the costs. Without it: whoever listens at the addresses of the
    /// group on this machine.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,

    /// Choose keys and values by this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Write a page with plots of rate and latency to this file, too.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,

    /// Say nothing while it runs.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,

    #[command(flatten)]
    printing: Printing,
}

const EXAMPLES: &str = "\
Examples:
  synod bench                                             puts, 64 clients, against `synod dev`
  synod bench --mix put=1,get=9 --clients 256 --connections 16
  synod bench --rate 10000 --clients 10000                at 10,000 puts a second
  synod bench --mix lock=1 --clients 16 --names 1         16 clients that want one lock
  synod bench --watchers 1000 --watch-prefix other        puts while 1,000 watch other keys
  synod bench --rate 1 --clients 1 --sessions 100000      what open sessions cost
  synod bench --endpoints 10.0.0.1:5678,10.0.0.2:5678,10.0.0.3:5678 --group sample --partitions 3";

/// What `synod bench` is told, checked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    #[serde(skip)]
    pub(super) target: Target,
    pub(super) mix: Mix,
    pub(super) clients: usize,
    pub(super) connections: usize,
    #[serde(rename = "ratePerSecond")]
    pub(super) rate: Option<u32>,
    #[serde(skip)]
    pub(super) duration: Duration,
    #[serde(skip)]
    pub(super) warmup: Duration,
    pub(super) keys: u64,
    pub(super) key_bytes: usize,
    pub(super) value_bytes: usize,
    pub(super) distribution: Distribution,
    pub(super) names: usize,
    pub(super) fill: bool,
    pub(super) watchers: usize,
    pub(super) watch_prefix: String,
    pub(super) sessions: usize,
    #[serde(skip)]
    pub(super) session_timeout: Duration,
    #[serde(skip)]
    pub(super) pids: Vec<u32>,
    pub(super) seed: u64,
    #[serde(skip)]
    pub(super) html: Option<PathBuf>,
    #[serde(skip)]
    pub(super) quiet: bool,
    #[serde(skip)]
    pub(super) printing: Printing,
}

impl Arguments {
    pub(super) fn resolve(self) -> anyhow::Result<Settings> {
        let last_key = self.keys.saturating_sub(1).to_string();
        let key_bytes = usize::from(self.key_bytes);
        if last_key.len() > key_bytes {
            bail!(
                "{} keys do not fit into {key_bytes} bytes each: use --key-bytes {} at least",
                self.keys,
                last_key.len()
            );
        }
        let clients = usize::try_from(self.clients)?;
        Ok(Settings {
            target: self.target,
            mix: self.mix,
            clients,
            connections: usize::try_from(self.connections)?.min(clients),
            rate: self.rate,
            duration: Duration::from_secs(self.duration_s.into()),
            warmup: Duration::from_secs(self.warmup_s.into()),
            keys: self.keys,
            key_bytes,
            value_bytes: usize::try_from(self.value_bytes)?,
            distribution: self.distribution,
            names: usize::try_from(self.names.unwrap_or(self.clients))?,
            fill: self.fill,
            watchers: usize::try_from(self.watchers)?,
            watch_prefix: self.watch_prefix,
            sessions: usize::try_from(self.sessions)?,
            session_timeout: Duration::from_secs(self.session_timeout_s.into()),
            pids: self.pid,
            seed: self.seed,
            html: self.html,
            quiet: self.quiet,
            printing: self.printing,
        })
    }
}
