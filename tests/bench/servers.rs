//! The members of one system, as processes, each with its own directory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use synod_client::admin::{Admin, Birth, Member, MemberRole, ReplicaName};
use synod_types::{Limits, PartitionId, slot_count};

const MEMBERS: usize = 3;
/// The group of Synod.
pub(crate) const NAMESPACE: &str = "default";
pub(crate) const GROUP: &str = "bench";

/// How long members may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    Synod,
    Etcd,
}

/// What is run.
pub(crate) struct Binaries {
    synod: PathBuf,
    /// The server and the load generator.
    etcd: Option<(PathBuf, PathBuf)>,
}

impl Binaries {
    /// Builds etcd if it is wanted and there is Go.
    pub(crate) fn new(synod: &Path, dir: &Path, with_etcd: bool) -> anyhow::Result<Self> {
        let bin = std::path::absolute(dir)?.join("bin");
        let has_go = with_etcd && Command::new("go").arg("version").output().is_ok();
        if has_go {
            println!("building etcd");
            fs::create_dir_all(&bin)?;
            let mut build = Command::new("go");
            build.args(["build", "-C", "tests/bench/etcd", "-o"]).arg(&bin).arg("./...");
            if !build.status()?.success() {
                bail!("etcd cannot be built: {build:?}");
            }
        }
        let etcd = has_go.then(|| (bin.join("server"), bin.join("load")));
        Ok(Self { synod: std::path::absolute(synod)?, etcd })
    }

    pub(crate) const fn has_etcd(&self) -> bool {
        self.etcd.is_some()
    }

    pub(crate) const fn has(&self, system: System) -> bool {
        matches!(system, System::Synod) || self.has_etcd()
    }

    fn server(&self, system: System) -> &Path {
        match (system, &self.etcd) {
            (System::Etcd, Some((server, _))) => server,
            _ => &self.synod,
        }
    }

    /// The load generator of a system.
    pub(crate) fn load(&self, system: System) -> &Path {
        match (system, &self.etcd) {
            (System::Etcd, Some((_, load))) => load,
            _ => &self.synod,
        }
    }

    /// With what a member is started, for the record.
    pub(crate) fn configuration(&self, system: System) -> Vec<String> {
        let place = Place { number: 0, client: 1, peer: 2, metrics: 3, dir: "DIR".into() };
        place.arguments(system, std::slice::from_ref(&place))
    }
}

/// Where a member is.
struct Place {
    number: usize,
    client: u16,
    peer: u16,
    metrics: u16,
    dir: PathBuf,
}

impl Place {
    fn arguments(&self, system: System, all: &[Self]) -> Vec<String> {
        let Self { number, client, peer, metrics, dir } = self;
        let (name, dir) = (format!("node-{number}"), dir.display());
        match system {
            System::Synod => vec![
                "node".to_owned(),
                format!("--name={name}"),
                format!("--data-dir={dir}"),
                format!("--client-listen=127.0.0.1:{client}"),
                format!("--peer-listen=127.0.0.1:{peer}"),
                format!("--metrics-listen=127.0.0.1:{metrics}"),
            ],
            System::Etcd => {
                let peers =
                    all.iter().map(|place| format!("node-{}=http://127.0.0.1:{}", place.number, place.peer));
                vec![
                    format!("--name={name}"),
                    format!("--data-dir={dir}"),
                    format!("--listen-client-urls=http://127.0.0.1:{client}"),
                    format!("--advertise-client-urls=http://127.0.0.1:{client}"),
                    format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                    format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                    format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
                    format!("--initial-cluster={}", peers.collect::<Vec<_>>().join(",")),
                    // Room for the history of what is written meanwhile: by default it refuses writes at 2 GB.
                    "--quota-backend-bytes=8589934592".to_owned(),
                    "--log-level=error".to_owned(),
                ]
            }
        }
    }
}

/// Members that run. They are killed when this is dropped.
pub(crate) struct Servers {
    pub(crate) system: System,
    pub(crate) partitions: u32,
    places: Vec<Place>,
    children: Vec<Child>,
    dir: PathBuf,
}

impl Servers {
    /// Starts three on empty directories and waits until they have a leader; those of Synod have so many partitions.
    pub(crate) fn start(
        binaries: &Binaries,
        system: System,
        dir: &Path,
        partitions: u32,
    ) -> anyhow::Result<Self> {
        let dir = std::path::absolute(dir)?.join("data");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let places = places(&dir)?;
        let mut servers = Self { system, partitions, places: Vec::new(), children: Vec::new(), dir };
        for place in &places {
            fs::create_dir_all(&place.dir)?;
            let log = fs::File::create(place.dir.with_extension("log"))?;
            let child = Command::new(binaries.server(system))
                .args(place.arguments(system, &places))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()?;
            servers.children.push(child);
        }
        servers.places = places;
        servers.wait_until(|place| TcpStream::connect(("127.0.0.1", place.client)).is_ok())?;
        if system == System::Synod {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                for partition in 0..partitions {
                    servers.bootstrap(partition, partitions).await?;
                }
                anyhow::Ok(())
            })?;
        }
        let leader = match system {
            System::Synod => "synod_replica_leader{",
            System::Etcd => "etcd_server_has_leader ",
        };
        let leaders = if system == System::Synod { f64::from(partitions) } else { 1.0 };
        servers.wait_until(|_| servers.sum(leader).is_some_and(|sum| sum >= leaders))?;
        Ok(servers)
    }

    fn wait_until(&self, is_so: impl Fn(&Place) -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !self.places.iter().all(&is_so) {
            if begin.elapsed() > PATIENCE {
                bail!("the members are not ready; what they say is in {}", self.dir.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Makes the nodes a partition, of so many.
    async fn bootstrap(&self, partition: u32, partitions: u32) -> anyhow::Result<()> {
        let group = format!("{NAMESPACE}/{GROUP}");
        let replica = ReplicaName { group: &group, partition: PartitionId(partition) };
        let (mut admins, mut members) = (Vec::new(), Vec::new());
        for place in &self.places {
            let client_address = format!("127.0.0.1:{}", place.client);
            let admin = Admin::new(&client_address)?;
            members.push(Member {
                id: admin.prepare(replica).await?.member.get(),
                node: format!("node-{}", place.number),
                peer_address: format!("127.0.0.1:{}", place.peer),
                client_address,
                role: MemberRole::Voter.into(),
            });
            admins.push(admin);
        }
        let birth = Birth {
            group: group.clone(),
            partition,
            members,
            partitions,
            slots: slot_count(partitions)?,
            // Room for the sessions of the generator beside those that only stay open.
            limits: Some((&Limits { sessions: 1_000_000, ..Limits::default() }).into()),
            born_ms: 1,
        };
        for admin in admins {
            admin.bootstrap(birth.clone()).await?;
        }
        Ok(())
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.places.iter().map(|place| format!("127.0.0.1:{}", place.client)).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// How often all members have synced their logs so far, as they count it.
    pub(crate) fn syncs(&self) -> Option<u64> {
        let name = match self.system {
            System::Synod => "synod_replica_log_sync_seconds_count{",
            System::Etcd => "etcd_disk_wal_fsync_duration_seconds_count ",
        };
        self.sum(name).map(|syncs| syncs as u64)
    }

    /// Where the member of Synod is that leads.
    pub(crate) fn leader(&self) -> anyhow::Result<String> {
        let leads = |place: &&Place| {
            let metrics = get_metrics(place.metrics).unwrap_or_default();
            metrics.lines().any(|line| line.starts_with("synod_replica_leader{") && line.ends_with(" 1"))
        };
        let leader = self.places.iter().find(leads).context("nobody leads")?;
        Ok(format!("127.0.0.1:{}", leader.client))
    }

    /// The sum of a metric over all members. None if it cannot be had.
    fn sum(&self, name: &str) -> Option<f64> {
        let mut sum = 0.0;
        for place in &self.places {
            let metrics = get_metrics(place.metrics).ok()?;
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
        }
        Some(sum)
    }

    /// Stops the members and removes their data.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.kill();
        fs::remove_dir_all(&self.dir).context("cannot remove the data")
    }

    fn kill(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three members at ports that are free.
fn places(dir: &Path) -> anyhow::Result<Vec<Place>> {
    // All are held until all are known, so that they differ.
    let ports: Vec<_> =
        (0..3 * MEMBERS).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let ports: Vec<_> =
        ports.iter().map(|port| Ok(port.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    let place = |(number, ports): (usize, &[u16])| Place {
        number,
        client: ports[0],
        peer: ports[1],
        metrics: ports[2],
        dir: dir.join(format!("node-{number}")),
    };
    Ok(ports.chunks_exact(3).enumerate().map(place).collect())
}

fn get_metrics(port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
