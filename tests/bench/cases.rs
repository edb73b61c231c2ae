//! The loads.

use std::process::Command;

use clap::ValueEnum;

use crate::beside::Beside;
use crate::servers::{Binaries, GROUP, NAMESPACE, Servers, System};

/// Loads that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// What both systems do, side by side.
    #[default]
    Compare,
    /// How the cost of a write grows with clients, sizes, keys, watchers and sessions. Of Synod alone.
    Growth,
    /// What must not hurt the others: overload, a client with great values, a watcher that never reads, snapshots. Of
    /// Synod alone.
    Bad,
}

impl Set {
    /// Its loads, in the order in which they are measured.
    pub(crate) const fn cases(self) -> &'static [Case] {
        match self {
            Self::Compare => &COMPARE,
            Self::Growth => &GROWTH,
            Self::Bad => &BAD,
        }
    }
}

/// A load, as both generators understand it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    operation: &'static str,
    clients: u32,
    /// How many keys there are, all of which are written before; 0 is as many as the run has.
    keys: u64,
    value_bytes: u32,
    /// Locks; 0 is one for each client.
    names: u32,
    watchers: u32,
    watch_prefix: &'static str,
    /// Open sessions that do nothing, which is measured of Synod alone.
    pub(crate) sessions: u32,
    /// Operations per second; 0 is as many as possible.
    rate: u32,
    /// What somebody else does meanwhile.
    pub(crate) beside: Beside,
}

const fn case(name: &'static str, operation: &'static str, clients: u32) -> Case {
    Case {
        name,
        operation,
        clients,
        keys: 0,
        value_bytes: 256,
        names: 0,
        watchers: 0,
        watch_prefix: "",
        sessions: 0,
        rate: 0,
        beside: Beside::Nothing,
    }
}

const COMPARE: [Case; 11] = [
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

const GROWTH: [Case; 20] = [
    case("1 client", "put", 1),
    case("4 clients", "put", 4),
    case("16 clients", "put", 16),
    case("64 clients", "put", 64),
    case("256 clients", "put", 256),
    case("1024 clients", "put", 1_024),
    Case { value_bytes: 16, ..case("values of 16 B", "put", 64) },
    Case { value_bytes: 1 << 10, ..case("values of 1 KiB", "put", 64) },
    Case { value_bytes: 4 << 10, ..case("values of 4 KiB", "put", 64) },
    Case { value_bytes: 16 << 10, ..case("values of 16 KiB", "put", 64) },
    Case { value_bytes: 64 << 10, keys: 1_000, ..case("values of 64 KiB", "put", 64) },
    Case { keys: 1_000, ..case("1000 keys", "put", 64) },
    Case { keys: 100_000, ..case("100000 keys", "put", 64) },
    Case { keys: 1_000_000, ..case("1 M keys", "put", 64) },
    Case { keys: 3_000_000, ..case("3 M keys", "put", 64) },
    Case { watchers: 10, watch_prefix: "other", ..case("10 watchers", "put", 64) },
    Case { watchers: 10_000, watch_prefix: "other", ..case("10000 watchers", "put", 64) },
    Case { sessions: 1_000, ..case("1000 sessions", "put", 64) },
    Case { sessions: 10_000, ..case("10000 sessions", "put", 64) },
    Case { sessions: 100_000, ..case("100000 sessions", "put", 64) },
];

const BAD: [Case; 7] = [
    case("nothing else", "put", 256),
    Case { beside: Beside::GreatValues, ..case("beside values of 1 MiB", "put", 256) },
    Case { beside: Beside::StuckWatcher, ..case("beside a stuck watcher", "put", 256) },
    Case { beside: Beside::Snapshots, ..case("while snapshots are taken", "put", 256) },
    case("nothing else, again", "put", 256),
    // An open loop that asks for ten times as much as can be done, and for more at a time than a replica lets in: what
    // is beyond is refused at once.
    Case { rate: 500_000, ..case("overload, 500000 a second", "put", 20_000) },
    case("after the overload", "put", 256),
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

impl<'a> Load<'a> {
    /// A case, with as many keys as it says.
    pub(crate) const fn of(case: &'a Case, seconds: u32, keys: u64) -> Self {
        let keys = if case.keys == 0 { keys } else { case.keys };
        Self { case, seconds, keys, fill: case.keys > 0 }
    }

    /// More connections serve etcd better, as its documents say; Synod's client has one stream for each.
    const fn connections(system: System) -> u32 {
        match system {
            System::Synod => 4,
            System::Etcd => 16,
        }
    }

    /// How to generate it.
    pub(crate) fn command(&self, binaries: &Binaries, servers: &Servers) -> Command {
        let Case { operation, clients, names, watchers, watch_prefix, sessions, rate, value_bytes, .. } =
            *self.case;
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
                command.args(["--partitions", &servers.partitions.to_string()]);
                command.args(["--sessions", &sessions.to_string()]);
                command.args(["--value-bytes", &value_bytes.to_string()]);
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
