//! Where and when a measurement is made.

use std::fs;
use std::process::Command;

use anyhow::Context as _;
use serde::Serialize;

/// The machine.
#[derive(Serialize)]
pub(crate) struct Host {
    cpu: String,
    cores: usize,
    memory_kib: u64,
    kernel: String,
    /// Of the last minute, when the measurement begins: anything else that ran then disturbs it.
    load_average: String,
}

impl Host {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok());
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            cpu: cpu.trim_start_matches([':', ' ', '\t']).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_kib: memory.unwrap_or(0),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

/// The commit of the work tree.
pub(crate) fn commit() -> anyhow::Result<String> {
    said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]))
}

/// Today, in UTC.
pub(crate) fn date() -> anyhow::Result<String> {
    said(Command::new("date").args(["--utc", "+%Y-%m-%dT%H%M"]))
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
