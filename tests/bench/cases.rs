//! The loads.

use std::process::Command;

use crate::servers::{Binaries, GROUP, NAMESPACE, Servers, System};

/// A load, as both generators understand it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    operation: &'static str,
    clients: u32,
    /// Locks; 0 is one for each client.
    names: u32,
    watchers: u32,
    watch_prefix: &'static str,
    /// Open sessions that do nothing, which is measured of Synod alone.
    pub(crate) sessions: u32,
    /// Operations per second; 0 is as many as possible.
    rate: u32,
}

const fn case(name: &'static str, operation: &'static str, clients: u32) -> Case {
    Case { name, operation, clients, names: 0, watchers: 0, watch_prefix: "", sessions: 0, rate: 0 }
}

/// What is measured, in this order.
pub(crate) const CASES: [Case; 11] = [
    case("put, 1 client", "put", 1),
    case("put, 64 clients", "put", 64),
    case("put, 256 clients", "put", 256),
    case("get, 64 clients", "get", 64),
    case("get, 256 clients", "get", 256),
    case("sequential get, 64", "get-sequential", 64),
    case("lock pair, 64 locks", "lock", 64),
    Case { names: 1, ..case("lock pair, 16 on one", "lock", 16) },
    Case { watchers: 1_000, watch_prefix: "other", ..case("put, 1000 watch others", "put", 64) },
    Case { watchers: 1_000, watch_prefix: "0", ..case("put, 1000 watch these", "put", 64) },
    Case { sessions: 100_000, rate: 10, ..case("100000 sessions", "put", 1) },
];

impl Case {
    /// The map is filled, and one client writes for a moment.
    pub(crate) const FILL: Self = case("filled", "put", 1);
}

/// A load with its extent.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) case: &'a Case,
    pub(crate) seconds: u32,
    pub(crate) keys: u64,
    pub(crate) fill: bool,
}

impl Load<'_> {
    /// More connections serve etcd better, as its documents say; Synod's client has one stream for each.
    const fn connections(system: System) -> u32 {
        match system {
            System::Synod => 4,
            System::Etcd => 16,
        }
    }

    /// How to generate it.
    pub(crate) fn command(&self, binaries: &Binaries, servers: &Servers) -> Command {
        let Case { operation, clients, names, watchers, watch_prefix, sessions, rate, .. } = *self.case;
        let connections = Self::connections(servers.system).min(clients.max(watchers / 16)).to_string();
        let (endpoints, pids) = (servers.endpoints(), servers.pids());
        let mut command = Command::new(binaries.load(servers.system));
        let (clients, watchers, keys) = (clients.to_string(), watchers.to_string(), self.keys.to_string());
        match servers.system {
            System::Synod => {
                command.args([
                    "bench",
                    "--quiet",
                    "--output",
                    "json",
                    "--namespace",
                    NAMESPACE,
                    "--group",
                    GROUP,
                ]);
                command.args(["--mix", &format!("{operation}=1"), "--duration-s", &self.seconds.to_string()]);
                if names > 0 {
                    command.args(["--names", &names.to_string()]);
                }
                command.args(["--sessions", &sessions.to_string()]);
                if rate > 0 {
                    command.args(["--rate", &rate.to_string()]);
                }
                for pid in pids {
                    command.args(["--pid", &pid.to_string()]);
                }
            }
            System::Etcd => {
                let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
                command.args(["--operation", operation, "--duration", &format!("{}s", self.seconds)]);
                command.args(["--names", &names.to_string(), "--pids", &pids.join(",")]);
            }
        }
        command.args([
            "--endpoints",
            &endpoints.join(","),
            "--clients",
            &clients,
            "--connections",
            &connections,
        ]);
        command.args(["--keys", &keys, "--watchers", &watchers, "--watch-prefix", watch_prefix]);
        if self.fill {
            command.arg("--fill");
        }
        command
    }
}
