//! A run as a page that a browser shows without anything else: the table, and plots of rate and latency.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, DrawingArea, IntoDrawingArea as _, IntoLogRange as _, LineSeries, Palette as _, Palette99,
    PathElement, SVGBackend, SeriesLabelPosition, WHITE,
};
use plotters::style::{BLACK, Color as _};

/// The size of a plot, in pixels.
const SIZE: (u32, u32) = (760, 320);

/// Where the plot of latencies ends: at one of 100,000.
const NINES_MAX: f64 = 5.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a plot, with its name.
pub(super) type Line = (String, Vec<(f64, f64)>);

/// What a page shows.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) text: Box<dyn Display + 'a>,
    /// (second, operations per second).
    pub(super) rate: Vec<(f64, f64)>,
    /// (quantile, microseconds), for each kind of operation.
    pub(super) latency: Vec<Line>,
}

impl Page<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let (title, text) = (escaped(&self.title), escaped(&self.text));
        let (rate, latency) =
            (plotted(|area| self.plot_rate(area))?, plotted(|area| self.plot_latency(area))?);
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <style>body {{ font-family: sans-serif; margin: 2em; }}</style>\n<h1>{title}</h1>\n\
             <pre>{text}</pre>\n<h2>Operations per second</h2>\n{rate}\n<h2>Latency by percentile</h2>\n\
             {latency}\n</html>\n"
        );
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))
    }

    fn plot_rate(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let points = &self.rate;
        let end = points.iter().map(|(seconds, _)| *seconds).fold(1.0, f64::max);
        let most = points.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..end, 0.0..most * 1.1)
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("seconds").y_desc("per second").draw().map_err(failed)?;
        chart.draw_series(LineSeries::new(points.iter().copied(), Palette99::pick(0))).map_err(failed)?;
        Ok(())
    }

    fn plot_latency(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let values = || self.latency.iter().flat_map(|(_, points)| points).map(|(_, micros)| *micros);
        let (least, most) =
            (values().fold(f64::MAX, f64::min).clamp(1.0, 1e6), values().fold(10.0, f64::max));
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..NINES_MAX, (least..most.max(least * 2.0)).log_scale())
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("percentile").y_desc("µs").x_label_formatter(&percentile).draw().map_err(failed)?;
        for (number, (name, points)) in self.latency.iter().enumerate() {
            let color = Palette99::pick(number).stroke_width(2);
            let points = points.iter().map(|&(quantile, micros)| (nines(quantile), micros.max(1.0)));
            chart
                .draw_series(LineSeries::new(points, color))
                .map_err(failed)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE).border_style(BLACK);
        labels.draw().map_err(failed)?;
        Ok(())
    }
}

/// 0.9 is 1, 0.99 is 2: each percentile as far from the next as it matters.
fn nines(quantile: f64) -> f64 {
    (-(1.0 - quantile).log10()).min(NINES_MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "plotters asks for a reference")]
fn percentile(nines: &f64) -> String {
    format!("{:.3}", 100.0 * (1.0 - 10_f64.powf(-nines)))
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
        + " %"
}

fn plotted(plot: impl FnOnce(&Area<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        plot(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The errors of plotters borrow from what is drawn.
fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("cannot draw a plot: {error}")
}

fn escaped(text: &dyn Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_the_text_and_a_line_for_each_operation() {
        let latency = |name: &str| (name.to_owned(), vec![(0.0, 300.0), (0.5, 600.0), (0.999, 4_000.0)]);
        let page = Page {
            title: "put & get",
            text: Box::new("p99 < 1 ms"),
            rate: vec![(1.0, 900.0), (2.0, 1_100.0)],
            latency: vec![latency("put"), latency("get-sequential")],
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        page.write(&path).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.contains("<h1>put &amp; get</h1>") && written.contains("p99 &lt; 1 ms"), "{written}");
        assert_eq!(written.matches("<svg").count(), 2);
        assert!(written.matches("<polyline").count() >= 3, "{written}");
        assert!(written.contains("get-sequential") && written.contains("99.9 %"), "{written}");
    }

    #[test]
    fn a_run_without_results_has_a_page_too() {
        let empty = Page { title: "t", text: Box::new(""), rate: Vec::new(), latency: Vec::new() };
        let dir = tempfile::tempdir().unwrap();
        empty.write(&dir.path().join("page.html")).unwrap();
        let missing = dir.path().join("missing/page.html");
        assert!(empty.write(&missing).unwrap_err().to_string().contains("missing"));
    }
}
