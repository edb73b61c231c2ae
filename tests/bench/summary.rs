//! What the measurements say: medians, ratios, and how far the rounds lie apart.

use std::fmt::Write as _;

use serde_json::Value;

use crate::probe::Probe;
use crate::servers::System;
use crate::{FIGURES, Measurement};

/// The least, the median and the greatest of what the rounds gave.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        Some(Self { least, median: values[values.len() / 2], greatest })
    }
}

/// One line about one measurement.
pub(crate) fn line(result: &Value) -> String {
    let mut line = String::new();
    for (name, pointer) in FIGURES {
        if let Some(value) = result.pointer(pointer).and_then(Value::as_f64) {
            let _ = write!(line, "{value:12.1} {name}");
        }
    }
    match result.pointer("/operations/0/failed").and_then(Value::as_u64) {
        Some(failed) if failed > 0 => line + &format!(", {failed} failed"),
        _ => line,
    }
}

/// Everything, as a table.
pub(crate) fn table(probes: &[Probe], measurements: &[Measurement]) -> String {
    let mut table = String::new();
    let mut cases: Vec<&str> = Vec::new();
    for measurement in measurements {
        if !cases.contains(&measurement.case.as_str()) {
            cases.push(&measurement.case);
        }
    }
    let _ = writeln!(
        table,
        "\n{:24}{:16}{:>26}{:>26}{:>26}",
        "load", "figure", "Synod (least-greatest)", "etcd (least-greatest)", "ratio (least-greatest)"
    );
    for case in cases {
        for (name, pointer) in FIGURES {
            row(&mut table, measurements, case, name, |result| result.pointer(pointer)?.as_f64());
        }
        row(&mut table, measurements, case, "resident MiB", resident_mebi);
        if case.ends_with("sessions") {
            row(&mut table, measurements, case, "% of a core", busiest_percent);
        }
    }
    if let Some(floor) = Spread::of(probes.iter().map(Probe::floor_us).collect()) {
        let _ = writeln!(
            table,
            "\ntwo hops and one sync: {:.0} µs ({:.0}-{:.0})",
            floor.median, floor.least, floor.greatest
        );
    }
    table
}

fn row(
    table: &mut String,
    measurements: &[Measurement],
    case: &str,
    name: &str,
    figure: impl Fn(&Value) -> Option<f64>,
) {
    let of = |system: System| {
        let measured = measurements.iter().filter(|one| one.case == case && one.system == system);
        measured.filter_map(|one| figure(&one.result)).collect::<Vec<_>>()
    };
    let (synod, etcd) = (of(System::Synod), of(System::Etcd));
    // Round by round: what disturbs one turn is likely to disturb the one beside it.
    let ratios = synod.iter().zip(&etcd).map(|(synod, etcd)| synod / etcd).collect();
    let shown = |spread: Option<Spread>, digits: usize| match spread {
        Some(Spread { least, median, greatest }) => {
            format!("{median:.digits$} ({least:.digits$}-{greatest:.digits$})")
        }
        None => "-".to_owned(),
    };
    let (synod, etcd) = (shown(Spread::of(synod), 0), shown(Spread::of(etcd), 0));
    let ratio = shown(Spread::of(ratios), 2);
    let _ = writeln!(table, "{case:24}{name:16}{synod:>26}{etcd:>26}{ratio:>26}");
}

/// Of the member that works most: the share of one core.
fn busiest_percent(result: &Value) -> Option<f64> {
    let servers = result.pointer("/servers")?.as_array()?.iter();
    let busiest =
        servers.filter_map(|server| server.pointer("/cpuSeconds")?.as_f64()).max_by(f64::total_cmp)?;
    Some(100.0 * busiest / result.pointer("/seconds")?.as_f64()?)
}

/// Of the greatest member, in MiB.
fn resident_mebi(result: &Value) -> Option<f64> {
    let servers = result.pointer("/servers")?.as_array()?.iter();
    let bytes = servers.filter_map(|server| server.pointer("/residentBytes")?.as_f64());
    bytes.max_by(f64::total_cmp).map(|bytes| bytes / 1_048_576.0)
}
