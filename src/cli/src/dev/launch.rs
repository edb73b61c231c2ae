//! Starting and stopping the process of a node.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use synod_types::Limits;
use tokio::process::{Child, ChildStdin, Command};

use super::log::{self, Tail};
use super::settings::Settings;
use super::state::{GroupState, NodeState};

/// The size of a segment of a write-ahead log, in units of which it is a multiple. A development machine has many logs,
/// none of them long, and a group is ready the sooner the less has to be written for each.
const WAL_SEGMENT_BYTES: u64 = 4 << 20;

/// How the process of a node is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    executable: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    pid: PathBuf,
    /// What to put in front of what it logs, if that is to be seen.
    label: Option<String>,
}

impl Launch {
    pub(super) fn new(settings: &Settings, group: &GroupState, node: &NodeState) -> Self {
        let key = group.key();
        let listen = |port| SocketAddr::new(settings.listen, port).to_string();
        let spec = &group.manifest.spec;
        let mut arguments = vec![OsString::from("node"), "--exit-with-parent".into()];
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        add("--name", node.name.clone().into());
        add("--data-dir", settings.node_dir(&key, &node.name).into());
        add("--client-listen", listen(node.ports.client).into());
        add("--peer-listen", listen(node.ports.peer).into());
        add("--metrics-listen", listen(node.ports.metrics).into());
        add("--client-address", settings.address(node.ports.client).into());
        add("--peer-address", settings.address(node.ports.peer).into());
        add("--wal-segment-bytes", wal_segment_bytes(&spec.limits()).to_string().into());
        if let Some(raft) = &spec.protocol.raft {
            add("--heartbeat-ms", raft.heartbeat_ms.to_string().into());
            add("--election-timeout-ms", raft.election_timeout_ms.to_string().into());
            add("--snapshot-log-bytes", raft.snapshot_log_bytes.to_string().into());
            add("--log-tail-bytes", raft.log_tail_bytes.to_string().into());
        }
        let (namespace, name) = &key;
        let label = settings.verbose.then(|| format!("{namespace}/{name} {}", node.name));
        let (log, pid) = (settings.node_log(&key, &node.name), settings.node_pid(&key, &node.name));
        Self { executable: settings.executable.clone(), arguments, log, pid, label }
    }

    /// Starts the process. It ends with this one, because its standard input does; and it is in a process group of its
    /// own, so that a Ctrl-C at the terminal is for the supervisor alone.
    pub(super) fn start(&self) -> io::Result<Process> {
        let mut child = Command::new(&self.executable)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let tail = match child.stderr.take() {
            Some(source) => {
                let source = std::fs::File::from(source.into_owned_fd()?);
                Some(log::carry(source, &self.log, self.label.clone())?)
            }
            None => None,
        };
        let pid = child.id().map(|id| PidFile::write(&self.pid, id)).transpose()?;
        Ok(Process { lifeline: child.stdin.take(), child, tail, pid })
    }
}

/// A segment holds the greatest log entry, which is a batch with a greatest request at its end.
fn wal_segment_bytes(limits: &Limits) -> u64 {
    let twice = limits.request_bytes.saturating_mul(2);
    WAL_SEGMENT_BYTES.max(twice.next_multiple_of(WAL_SEGMENT_BYTES))
}

/// The process of a node.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    /// What it logs.
    pub(super) tail: Option<Tail>,
    /// Its standard input, to which nothing is ever written: it ends when this is dropped. (Waiting for a child closes
    /// its standard input, if it still has it.)
    pub(super) lifeline: Option<ChildStdin>,
    pub(super) pid: Option<PidFile>,
}

/// The file that names the process, while it runs.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path, id: u32) -> io::Result<Self> {
        std::fs::write(path, format!("{id}\n"))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // One that stays names a process that is gone, as it does after a crash.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Asks a process to stop in order.
pub(super) fn terminate(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may be gone already; the caller waits for its end anyway.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_the_greatest_entry() {
        let segment = |request_bytes| wal_segment_bytes(&Limits { request_bytes, ..Limits::default() });
        assert_eq!(segment(Limits::default().request_bytes), 4 << 20);
        assert_eq!(segment(64 << 10), 4 << 20);
        assert_eq!(segment(16 << 20), 32 << 20);
        assert!(segment(5_000_001) >= 10_000_002);
    }
}
