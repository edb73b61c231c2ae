//! `synod dev`: whole groups on this machine, without Kubernetes.
//!
//! ```text
//!   files ─► wanted ─┐                       ┌─ node 0: child process ─ replica of every partition
//!                    ├─► supervisor ─► group ─┼─ node 1: child process ─ replica of every partition
//!   .synod/state ────┘        │              └─ node 2: child process ─ replica of every partition
//!                             └─► controller service, for clients
//! ```
//!
//! The supervisor decides nothing about members: it asks the nodes how things are, lets `synod_operator::membership`
//! plan, and carries the steps out, as the operator does on Kubernetes.
//!
//! Invariants:
//! - What was decided once (that a partition began, where a node listens) is on disk before it takes effect.
//! - No data is deleted, but for that of a node which is no member any more, and of a group whose spec says so.
//! - No node outlives its supervisor, however that one ends.

mod console;
mod directory;
mod group;
mod launch;
mod lock;
mod log;
mod merge;
mod news;
mod node;
mod ports;
mod settings;
mod state;
mod supervisor;
mod wanted;

use std::process::ExitCode;
use std::time::Instant;

pub(crate) use settings::Arguments;
use settings::Settings;
use supervisor::Supervisor;

/// What is wrong with the files, rather than with this machine.
const WRONG_FILES: u8 = 2;

/// Why groups cannot be run.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// The files are wrong, or ask for what cannot be.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
    /// This machine does not allow it.
    #[error(transparent)]
    Machine(#[from] anyhow::Error),
}

/// Runs groups until SIGINT or SIGTERM, then stops them.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let settings = Settings::new(arguments)?;
        let supervisor = Supervisor::prepare(settings).await?;
        Ok(supervisor.run(started).await?)
    });
    match done {
        Ok(code) => Ok(code),
        Err(Refusal::Machine(error)) => Err(error),
        Err(files @ Refusal::Files(_)) => {
            console::warn(files);
            Ok(ExitCode::from(WRONG_FILES))
        }
    }
}
