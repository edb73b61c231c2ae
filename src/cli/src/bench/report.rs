//! What a run took: as a table for people, or as JSON.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use super::html::Page;
use super::processes::Cost;
use super::recorder::{Recorder, Tally};
use super::settings::Settings;
use crate::progress;

/// The version of the JSON: fields are added, never renamed.
const VERSION: u32 = 1;

/// How many points of the curve of latencies there are between a percentile and the one that is twice as rare.
const CURVE_STEPS: u32 = 5;

/// What a run took.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    version: u32,
    synod: &'static str,
    settings: &'a Settings,
    seconds: f64,
    operations: Vec<Operations>,
    #[serde(flatten)]
    counts: Counts,
    /// How it went, second by second.
    rates: Vec<Rate>,
    servers: Vec<Cost>,
    /// Of all servers, for each operation that succeeded.
    server_cpu_us_per_operation: Option<f64>,
    generator: Option<Cost>,
}

/// How many operations succeeded per second, at a time after the beginning.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rate {
    pub(super) seconds: f64,
    pub(super) per_second: f64,
}

/// What goes on beside the operations.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Seen by all watchers together.
    pub(super) events: u64,
    /// Of sessions that do nothing: keep-alives that were answered.
    pub(super) keep_alives: u64,
    pub(super) keep_alives_refused: u64,
}

impl Counts {
    /// What was counted since then.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            events: self.events - before.events,
            keep_alives: self.keep_alives - before.keep_alives,
            keep_alives_refused: self.keep_alives_refused - before.keep_alives_refused,
        }
    }
}

/// What was done of one kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operations {
    operation: &'static str,
    succeeded: u64,
    per_second: f64,
    latency_us: Latency,
    /// (quantile, microseconds), for plots.
    #[serde(skip)]
    curve: Vec<(f64, f64)>,
    failed: u64,
    errors: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    count: u64,
    first: String,
}

/// Of what succeeded, in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Operations {
    fn new(tally: Tally, seconds: f64) -> Self {
        let Tally { kind, latency_ns, errors } = tally;
        let at = |quantile| micros(latency_ns.value_at_quantile(quantile));
        let curve = latency_ns.iter_quantiles(CURVE_STEPS);
        let curve = curve.map(|at| (at.quantile_iterated_to(), micros(at.value_iterated_to())));
        let errors: Vec<_> =
            errors.into_iter().map(|(code, (count, first))| Failure { code, count, first }).collect();
        Self {
            operation: kind.as_str(),
            succeeded: latency_ns.len(),
            per_second: per_second(latency_ns.len(), seconds),
            latency_us: Latency {
                mean: latency_ns.mean() / 1_000.0,
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: micros(latency_ns.max()),
            },
            curve: curve.collect(),
            failed: errors.iter().map(|failure| failure.count).sum(),
            errors,
        }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        took: Duration,
        recorder: &Recorder,
        servers: Vec<Cost>,
    ) -> Self {
        let seconds = took.as_secs_f64();
        let operations: Vec<_> =
            recorder.results().into_iter().map(|tally| Operations::new(tally, seconds)).collect();
        let succeeded: u64 = operations.iter().map(|operations| operations.succeeded).sum();
        let cpu_seconds: f64 = servers.iter().map(|server| server.cpu_seconds).sum();
        let is_known = succeeded > 0 && !servers.is_empty();
        Self {
            version: VERSION,
            synod: env!("CARGO_PKG_VERSION"),
            settings,
            seconds,
            operations,
            counts: Counts::default(),
            rates: Vec::new(),
            server_cpu_us_per_operation: is_known.then(|| cpu_seconds * 1e6 / count(succeeded)),
            servers,
            generator: None,
        }
    }

    /// What it cost to generate the load.
    pub(super) fn with_generator(self, generator: Option<Cost>) -> Self {
        Self { generator, ..self }
    }

    /// What went on beside the operations.
    pub(super) fn with_counts(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// How it went, second by second.
    pub(super) fn with_rates(self, rates: Vec<Rate>) -> Self {
        Self { rates, ..self }
    }

    /// Whether anything succeeded.
    pub(super) fn has_measured(&self) -> bool {
        self.operations.iter().any(|operations| operations.succeeded > 0)
    }

    /// Prints it on standard output, and writes the page if one is wanted.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let mut printer = self.settings.printing.printer();
        let printed = printer.line_or(self, Table(self).to_string().trim_end());
        printed.map_err(|failure| anyhow::anyhow!(failure.message))?;
        self.settings.html.as_deref().map_or(Ok(()), |path| self.page().write(path))
    }

    fn page(&self) -> Page<'_> {
        let rate = self.rates.iter().map(|rate| (rate.seconds, rate.per_second)).collect();
        let lines = self.operations.iter();
        let lines = lines.map(|operations| (operations.operation.to_owned(), operations.curve.clone()));
        let text = Box::new(Table(self));
        Page { title: "synod bench", text, rate, latency: lines.collect() }
    }
}

struct Table<'a>(&'a Report<'a>);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { settings, seconds, operations, counts, servers, generator, .. } = self.0;
        writeln!(
            f,
            "{} clients over {} connections, {} keys of {} bytes, values of {} bytes, {seconds:.1} s",
            settings.clients, settings.connections, settings.keys, settings.key_bytes, settings.value_bytes
        )?;
        let columns = ["per second", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "failed"];
        write!(f, "\n{:16}", "operation")?;
        columns.iter().try_for_each(|column| write!(f, "{column:>11}"))?;
        writeln!(f)?;
        for Operations { operation, per_second, latency_us, failed, .. } in operations {
            let Latency { p50, p90, p99, p999, max, .. } = *latency_us;
            write!(f, "{operation:16}{per_second:11.0}")?;
            [p50, p90, p99, p999, max]
                .iter()
                .try_for_each(|micros| write!(f, "{:11.3}", micros / 1_000.0))?;
            writeln!(f, "{failed:11}")?;
        }
        for Failure { code, count, first } in operations.iter().flat_map(|operations| &operations.errors) {
            writeln!(f, "failed: {count} times {code}, first: {first}")?;
        }
        if settings.watchers > 0 {
            let rate = per_second(counts.events, *seconds);
            writeln!(f, "\n{} watchers saw {rate:.0} events per second", settings.watchers)?;
        }
        if settings.sessions > 0 {
            let rate = per_second(counts.keep_alives, *seconds);
            let refused = counts.keep_alives_refused;
            let sessions = settings.sessions;
            writeln!(f, "\n{sessions} sessions: {rate:.0} keep-alives per second, {refused} refused")?;
        }
        writeln!(f, "\n{:24}{:>11}{:>15}{:>15}", "process", "CPU s", "resident MiB", "written MiB")?;
        for Cost { pid, command, cpu_seconds, resident_bytes, written_bytes } in
            servers.iter().chain(generator)
        {
            let name = format!("{command} ({pid})");
            let written =
                written_bytes.map_or_else(|| "unknown".into(), |bytes| format!("{:.1}", mebi(bytes)));
            let resident = mebi(*resident_bytes);
            writeln!(f, "{name:24}{cpu_seconds:11.2}{resident:15.1}{written:>15}")?;
        }
        match self.0.server_cpu_us_per_operation {
            Some(micros) => {
                writeln!(f, "the last is this one; the servers used {micros:.1} µs of CPU per operation")
            }
            None => writeln!(
                f,
                "the costs of the servers are not known: they run elsewhere, or --pid tells which"
            ),
        }
    }
}

impl Settings {
    /// Says how it goes, on standard error, unless that is not wanted.
    pub(super) fn say(&self, text: impl Display) {
        if !self.quiet {
            progress::say(&text.to_string());
        }
    }
}

/// What is counted here is far below 2^53.
const fn count(number: u64) -> f64 {
    number as f64
}

fn micros(nanos: u64) -> f64 {
    count(nanos) / 1_000.0
}

fn mebi(bytes: u64) -> f64 {
    count(bytes) / 1_048_576.0
}

/// A rate, to a tenth.
pub(super) fn per_second(number: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count(number) * 10.0 / seconds).round() / 10.0 } else { 0.0 }
}
