//! Synod and etcd, measured side by side: `make bench`.
//!
//! The two run in turn, A B A B, each alone, with three members, on the same directory and so the same disk, both
//! acknowledging a write when it is on the disks of a majority. A turn starts the members on empty directories, fills
//! the map, and puts every load on them, one after the other: on Synod with `synod bench`, on etcd with a generator of
//! the same form over its Go client. What is printed are ratios of medians, with how far the rounds lie apart; what is
//! kept is everything, in a file of its own under `results`.
//!
//! etcd comes from Go modules. Without Go, Synod is measured alone.

mod beside;
mod cases;
mod host;
mod page;
mod probe;
mod servers;
mod summary;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use cases::{Case, Load, Set};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use servers::{Binaries, Servers, System};

/// The version of the results: fields are added, never renamed.
const VERSION: u32 = 1;

/// Measures Synod and etcd side by side.
#[derive(Parser)]
struct Arguments {
    /// How many turns each has.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// How long each load is measured, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// How many keys there are.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,

    /// Which loads.
    #[arg(long, value_enum, default_value_t)]
    set: Set,

    /// Only loads whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// How many partitions the group of Synod has.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    partitions: u32,

    /// Where the members keep their data: on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    dir: PathBuf,

    /// The binary of Synod.
    #[arg(long, value_name = "FILE", default_value = "target/release/synod")]
    synod: PathBuf,

    /// Measure Synod alone.
    #[arg(long)]
    alone: bool,

    /// Measure nothing, and draw the page of the results that are kept.
    #[arg(long)]
    page: bool,

    /// Keep no file of the results.
    #[arg(long)]
    no_file: bool,

    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is compared, and where a load generator says it.
const FIGURES: [(&str, &str); 4] = [
    ("per second", "/operations/0/perSecond"),
    ("p50 µs", "/operations/0/latencyUs/p50"),
    ("p99 µs", "/operations/0/latencyUs/p99"),
    ("server CPU µs", "/serverCpuUsPerOperation"),
];

/// One load on one system, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Measurement {
    case: String,
    system: System,
    round: u32,
    /// Syncs of the log by all members meanwhile, as they count them; that of the warm-up included.
    syncs: Option<u64>,
    /// What the load generator says.
    result: Value,
}

/// Everything that is kept.
#[derive(Serialize)]
struct Results {
    version: u32,
    date: String,
    commit: String,
    host: host::Host,
    keys: u64,
    partitions: u32,
    seconds: u32,
    rounds: u32,
    /// With what each member is started.
    configurations: Vec<(System, Vec<String>)>,
    probes: Vec<probe::Probe>,
    measurements: Vec<Measurement>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository has a root")?;
    std::env::set_current_dir(root)?;
    let dir = root.join("tests/bench/results");
    if arguments.page {
        return page::write(&dir);
    }
    ensure!(arguments.synod.exists(), "there is no {}: cargo build --release", arguments.synod.display());
    let with_etcd = !arguments.alone && arguments.set == Set::Compare;
    let binaries = Binaries::new(&arguments.synod, &arguments.dir, with_etcd)?;
    if with_etcd && !binaries.has_etcd() {
        println!("Synod is measured alone: etcd needs Go, from https://go.dev/dl, in the PATH.");
    }
    let systems: Vec<_> =
        [System::Synod, System::Etcd].into_iter().filter(|&system| binaries.has(system)).collect();
    let cases: Vec<_> =
        arguments.set.cases().iter().filter(|case| case.name.contains(&arguments.only)).collect();
    ensure!(!cases.is_empty(), "no load has a name with \"{}\"", arguments.only);

    let mut results = Results {
        version: VERSION,
        date: host::date()?,
        commit: host::commit()?,
        host: host::Host::look()?,
        keys: arguments.keys,
        partitions: arguments.partitions,
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        configurations: systems.iter().map(|&system| (system, binaries.configuration(system))).collect(),
        probes: Vec::new(),
        measurements: Vec::new(),
    };
    for round in 1..=arguments.rounds {
        results.probes.push(probe::probe(&arguments.dir)?);
        for &system in &systems {
            let turn = turn(&arguments, &binaries, system, round, &cases);
            results.measurements.extend(turn.with_context(|| format!("{system:?}, round {round}"))?);
        }
    }
    print!("{}", summary::table(&results.probes, &results.measurements));
    if !arguments.no_file {
        std::fs::create_dir_all(&dir)?;
        let file = dir.join(format!("{}-{}.json", results.date, results.commit));
        std::fs::write(&file, serde_json::to_string(&results)? + "\n")?;
        page::write(&dir)?;
        println!("\nEverything is in {}, and plotted in index.html beside it", file.display());
    }
    Ok(())
}

/// Starts a system on empty directories and puts every load on it.
fn turn(
    arguments: &Arguments,
    binaries: &Binaries,
    system: System,
    round: u32,
    cases: &[&Case],
) -> anyhow::Result<Vec<Measurement>> {
    println!("round {round}: {system:?}");
    let servers = Servers::start(binaries, system, &arguments.dir, arguments.partitions)?;
    let mut measurements = Vec::new();
    let fill = Load { fill: true, ..Load::of(&Case::FILL, 1, arguments.keys) };
    let cases = cases.iter().copied().filter(|case| case.sessions == 0 || system == System::Synod);
    let loads = cases.map(|case| Load::of(case, arguments.seconds, arguments.keys));
    for load in std::iter::once(fill).chain(loads) {
        let case = load.case;
        let going = case.beside.begin(binaries, &servers)?;
        let before = servers.syncs();
        let result = generate(load.command(binaries, &servers))?;
        drop(going);
        let syncs = servers.syncs().zip(before).map(|(after, before)| after - before);
        println!("  {:24} {}", case.name, summary::line(&result));
        measurements.push(Measurement { case: case.name.to_owned(), system, round, syncs, result });
    }
    servers.stop()?;
    Ok(measurements)
}

/// Runs a load generator and reads what it says.
fn generate(mut command: Command) -> anyhow::Result<Value> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
