//! The page that shows how the figures moved from one measurement to the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::prelude::{
    BLUE, ChartBuilder, Circle, IntoDrawingArea as _, LineSeries, RED, RGBColor, SVGBackend,
    SeriesLabelPosition,
};
use plotters::style::Color as _;
use serde::Deserialize;

use crate::servers::System;
use crate::summary::Spread;
use crate::{FIGURES, Measurement};

const SIZE: (u32, u32) = (480, 260);

const SYSTEMS: [(System, &str, RGBColor); 2] = [(System::Synod, "Synod", BLUE), (System::Etcd, "etcd", RED)];

/// What is read of a file of results.
#[derive(Deserialize)]
struct Kept {
    date: String,
    commit: String,
    keys: u64,
    measurements: Vec<Measurement>,
}

/// Writes `index.html` beside the results.
pub(crate) fn write(dir: &Path) -> anyhow::Result<()> {
    let mut kept = BTreeMap::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let results: Kept = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            kept.insert(path, results);
        }
    }
    let kept: Vec<_> = kept.into_values().collect();
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Synod beside etcd</title>\n\
         <h1>Synod beside etcd</h1>\n<ol start=\"0\">\n",
    );
    for Kept { date, commit, keys, .. } in &kept {
        writeln!(page, "<li>{date}, commit {commit}, {keys} keys</li>")?;
    }
    page += "</ol>\n";
    for case in cases(&kept) {
        writeln!(page, "<h2>{case}</h2>")?;
        for (name, pointer) in FIGURES {
            page += &plot(&kept, case, name, pointer)?;
        }
    }
    fs::write(dir.join("index.html"), page + "</html>\n")?;
    Ok(())
}

fn cases(kept: &[Kept]) -> Vec<&str> {
    let mut cases: Vec<&str> = Vec::new();
    for measurement in kept.iter().flat_map(|results| &results.measurements) {
        if !cases.contains(&measurement.case.as_str()) {
            cases.push(&measurement.case);
        }
    }
    cases
}

/// One figure of one load, from file to file.
fn plot(kept: &[Kept], case: &str, name: &str, pointer: &str) -> anyhow::Result<String> {
    let median = |results: &Kept, system: System| {
        let measured = results.measurements.iter().filter(|one| one.case == case && one.system == system);
        Spread::of(measured.filter_map(|one| one.result.pointer(pointer)?.as_f64()).collect())
    };
    let lines = SYSTEMS.map(|(system, label, color)| {
        let points = (0_u32..).zip(kept);
        let points =
            points.filter_map(|(number, results)| Some((f64::from(number), median(results, system)?.median)));
        (label, color, points.collect::<Vec<_>>())
    });
    let most = lines.iter().flat_map(|(_, _, points)| points).map(|(_, value)| *value).fold(1.0, f64::max);
    let end = (kept.len() as f64 - 1.0).max(1.0);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(name, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..end, 0.0..most * 1.1)
            .map_err(failed)?;
        chart.configure_mesh().draw().map_err(failed)?;
        for (label, color, points) in lines {
            let series = LineSeries::new(points.iter().copied(), color);
            let series = chart.draw_series(series).map_err(failed)?;
            series.label(label).legend(move |at| Circle::new(at, 4, color.filled()));
            let dots = points.iter().map(|&at| Circle::new(at, 3, color.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::LowerRight).draw().map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The errors of plotters borrow from what is drawn.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw a plot: {error}")
}
