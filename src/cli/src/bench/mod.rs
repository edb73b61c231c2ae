//! `synod bench`: puts load on a group, through the client that programs use, and says what it took.
//!
//! ```text
//!   settings ─► clients ─► operation ─► a connection: one client of the SDK, one session
//!                  ▲            │
//!   pace: when ────┘            └─► recorder: histograms ─┐
//!                      processes: CPU, memory of servers ─┴─► report: table, JSON, HTML
//! ```
//!
//! Invariants:
//! - Latencies count from when an operation was to begin: with an arrival rate that is the time that the rate says,
//!   not the time at which a client was free, so that a server which stalls is not asked less.
//! - Only what ends between the warm-up and the end of the run is counted, and the costs of the servers are taken over
//!   the same span.

mod clients;
mod connect;
mod html;
mod keys;
mod mix;
mod operation;
mod pace;
mod processes;
mod recorder;
mod report;
mod sessions;
mod settings;
mod watchers;

use std::process::ExitCode;

pub(crate) use settings::Arguments;

/// Runs the load and prints what it took. Fails when nothing could be done at all.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = arguments.resolve()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(clients::run(&settings))?;
    report.print()?;
    Ok(if report.has_measured() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
