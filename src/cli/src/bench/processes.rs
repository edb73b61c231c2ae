//! What processes cost, as the kernel tells.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use serde::Serialize;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    /// Nothing when the kernel does not say: that of another user's process.
    pub(super) written_bytes: Option<u64>,
}

/// What a process has used in a span of time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) cpu_seconds: f64,
    /// At the end.
    pub(super) resident_bytes: u64,
    pub(super) written_bytes: Option<u64>,
}

/// Processes that are watched from a moment on.
#[derive(Debug)]
pub(super) struct Observed(Vec<(u32, Usage)>);

impl Observed {
    /// From now on.
    ///
    /// # Errors
    /// When one of them does not run.
    pub(super) fn begin(pids: &[u32]) -> anyhow::Result<Self> {
        let usage = |&pid| Ok((pid, usage(pid).with_context(|| format!("no process {pid} runs"))?));
        pids.iter().map(usage).collect::<anyhow::Result<_>>().map(Self)
    }

    /// What they have used since the beginning. One that has ended is left out.
    pub(super) fn end(&self) -> Vec<Cost> {
        let cost = |&(pid, before): &(u32, Usage)| {
            let now = usage(pid)?;
            Some(Cost {
                pid,
                command: command(pid),
                cpu_seconds: now.cpu_seconds - before.cpu_seconds,
                resident_bytes: now.resident_bytes,
                written_bytes: now.written_bytes.zip(before.written_bytes).map(|(now, before)| now - before),
            })
        };
        self.0.iter().filter_map(cost).collect()
    }
}

/// The processes on this machine that listen at these addresses, as far as may be seen.
pub(super) fn listening_at(endpoints: &[String]) -> Vec<u32> {
    let endpoints = endpoints.iter().flat_map(|endpoint| endpoint.to_socket_addrs().into_iter().flatten());
    let local = endpoints.filter(is_local);
    let ports: BTreeSet<u16> = local.map(|address| address.port()).collect();
    if ports.is_empty() {
        return Vec::new();
    }
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: BTreeSet<String> = tables
        .iter()
        .flat_map(|table| listeners(table, &ports))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let mut found: Vec<u32> = pids.filter(|&pid| has_socket(pid, &sockets)).collect();
    found.sort_unstable();
    found
}

/// Whether an address is one of this machine: then it can be listened at.
fn is_local(address: &SocketAddr) -> bool {
    std::net::UdpSocket::bind(SocketAddr::new(address.ip(), 0)).is_ok()
}

/// The sockets of a table of the kernel that listen on one of these ports.
fn listeners<'a>(table: &'a str, ports: &BTreeSet<u16>) -> impl Iterator<Item = &'a str> {
    table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let (_, port) = local.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == "0A" && ports.contains(&port)).then_some(inode)
    })
}

fn has_socket(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

/// What a process has used so far, if it runs.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name of the program, in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |field| fields.split_whitespace().nth(field)?.parse::<u32>().ok();
    let ticks_per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    let cpu_seconds = (f64::from(ticks(11)?) + f64::from(ticks(12)?)) / f64::from(ticks_per_second);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = number_after(&status, "VmRSS:").unwrap_or(0);
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok();
    let written_bytes = io.and_then(|io| number_after(&io, "write_bytes:"));
    Some(Usage { cpu_seconds, resident_bytes: kibibytes * 1024, written_bytes })
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_found_and_its_costs_are_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let me = std::process::id();
        // Not alone: a child that another test starts has this socket, too, until it runs its program.
        assert!(listening_at(std::slice::from_ref(&endpoint)).contains(&me));
        drop(listener);
        assert!(!listening_at(&[endpoint]).contains(&me));

        let observed = Observed::begin(&[me]).unwrap();
        let begin = usage(me).unwrap().cpu_seconds;
        while usage(me).unwrap().cpu_seconds - begin < 0.05 {}
        let cost = observed.end().pop().unwrap();
        assert_eq!(cost.pid, me);
        assert!(cost.cpu_seconds >= 0.04, "{cost:?}");
        assert!(cost.resident_bytes > 1 << 20, "{cost:?}");
    }

    #[test]
    fn a_process_that_does_not_run_is_named() {
        let error = Observed::begin(&[u32::MAX]).unwrap_err().to_string();
        assert!(error.contains(&u32::MAX.to_string()), "{error}");
    }

    #[test]
    fn only_listening_sockets_count() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:162E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0
   1: 0100007F:162E 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0
   2: 0100007F:162F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0";
        let found: Vec<_> = listeners(table, &BTreeSet::from([5678])).collect();
        assert_eq!(found, ["111"]);
    }
}
