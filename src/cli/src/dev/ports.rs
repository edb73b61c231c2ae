//! Which port is for what, and whether it can be had.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// How far the ports of one node are from those of the next.
const STEP: u16 = 10;

/// Where free ports are looked for: below those from which systems take the ports of outgoing connections, which would
/// come in between while a node restarts.
const AUTO: std::ops::Range<u16> = 10_000..32_000;

/// How long a port may still be in use by the nodes of a supervisor that was killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// How ports are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Scheme {
    /// 5678, 5679, 5680, 9090 and so on.
    #[default]
    Usual,
    /// From this port on.
    From(u16),
    /// Any that are free.
    Auto,
}

/// The ports of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NodePorts {
    pub(super) client: u16,
    pub(super) peer: u16,
    pub(super) metrics: u16,
}

impl NodePorts {
    pub(super) const fn all(self) -> [u16; 3] {
        [self.client, self.peer, self.metrics]
    }

    /// Each with what it is for.
    pub(super) const fn purposes(self) -> [(u16, &'static str); 3] {
        [(self.client, "clients"), (self.peer, "other nodes"), (self.metrics, "metrics")]
    }
}

impl Scheme {
    /// The port of the controller. `taken` are those that nodes have.
    pub(super) fn controller(self, listen: IpAddr, taken: &BTreeSet<u16>) -> anyhow::Result<u16> {
        match self {
            Self::Usual => Ok(5_679),
            Self::From(base) => offset(base, 0, 1),
            Self::Auto => free_port(listen, taken),
        }
    }

    /// The ports of one more node. `taken` are those that others have.
    pub(super) fn node(self, listen: IpAddr, taken: &BTreeSet<u16>) -> anyhow::Result<NodePorts> {
        if self == Self::Auto {
            let mut taken = taken.clone();
            let mut next = || {
                let port = free_port(listen, &taken)?;
                taken.insert(port);
                anyhow::Ok(port)
            };
            return Ok(NodePorts { client: next()?, peer: next()?, metrics: next()? });
        }
        let (base, metrics_base) = match self {
            Self::From(base) => (base, offset(base, 0, 3)?),
            Self::Usual | Self::Auto => (5_678, 9_090),
        };
        for number in 0..u16::MAX / STEP {
            let ports = NodePorts {
                client: offset(base, number, 0)?,
                peer: offset(base, number, 2)?,
                metrics: offset(metrics_base, number, 0)?,
            };
            if ports.all().iter().all(|port| !taken.contains(port)) {
                return Ok(ports);
            }
        }
        bail!("there are no more ports above {base}: use --ports auto")
    }
}

fn offset(base: u16, number: u16, more: u16) -> anyhow::Result<u16> {
    let port = number.checked_mul(STEP).and_then(|offset| base.checked_add(offset)?.checked_add(more));
    match port {
        Some(port) if base > 0 => Ok(port),
        _ => bail!("there are not enough ports above {base}: use a lower --port-base, or --ports auto"),
    }
}

/// A port that is free now. Processes that look at the same time begin in different places.
fn free_port(listen: IpAddr, taken: &BTreeSet<u16>) -> anyhow::Result<u16> {
    let count = u32::from(AUTO.end - AUTO.start);
    let first = std::process::id().wrapping_mul(100) % count;
    let all = (0..count).map(|number| AUTO.start + u16::try_from((first + number) % count).unwrap_or(0));
    let mut free = all.filter(|port| !taken.contains(port)).filter(|port| try_bind(listen, *port).is_ok());
    match free.next() {
        Some(port) => Ok(port),
        None => bail!("no port between {} and {} is free on {listen}", AUTO.start, AUTO.end),
    }
}

fn try_bind(listen: IpAddr, port: u16) -> io::Result<()> {
    TcpListener::bind(SocketAddr::new(listen, port)).map(drop)
}

/// Waits until a port is free, which takes a moment only if the nodes of a supervisor that was killed are going down.
///
/// # Errors
/// Why it cannot be had.
pub(super) async fn await_free(listen: IpAddr, port: u16) -> io::Result<()> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        match try_bind(listen, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up_at => {
                sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// What to tell about a port that cannot be had.
pub(super) fn refusal(listen: IpAddr, port: u16, purpose: &str, error: &io::Error, advice: &str) -> String {
    let address = SocketAddr::new(listen, port);
    if error.kind() == io::ErrorKind::AddrInUse {
        return format!(
            "port {port} is busy: another program listens on {address}, which is for {purpose}; {advice}"
        );
    }
    format!("cannot listen on {address} for {purpose}: {error}; {advice}")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn nodes(scheme: Scheme, count: usize) -> Vec<[u16; 3]> {
        let mut taken = BTreeSet::from([scheme.controller(HERE, &BTreeSet::new()).unwrap()]);
        let mut next = || {
            let ports = scheme.node(HERE, &taken).unwrap().all();
            taken.extend(ports);
            ports
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn ports_are_those_of_the_table() {
        let none = BTreeSet::new();
        assert_eq!(Scheme::Usual.controller(HERE, &none).unwrap(), 5_679);
        assert_eq!(nodes(Scheme::Usual, 2), [[5_678, 5_680, 9_090], [5_688, 5_690, 9_100]]);
        assert_eq!(Scheme::From(7_000).controller(HERE, &none).unwrap(), 7_001);
        assert_eq!(nodes(Scheme::From(7_000), 2), [[7_000, 7_002, 7_003], [7_010, 7_012, 7_013]]);
    }

    #[test]
    fn no_port_is_given_twice() {
        for scheme in [Scheme::Usual, Scheme::From(9_000), Scheme::Auto] {
            let given: Vec<_> = nodes(scheme, 20).into_iter().flatten().collect();
            assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 60, "{scheme:?}");
        }
        assert_eq!(nodes(Scheme::From(65_500), 2)[1], [65_510, 65_512, 65_513]);
        let end = Scheme::From(65_530).node(HERE, &BTreeSet::from([65_530])).unwrap_err().to_string();
        assert!(end.contains("lower --port-base"), "{end}");
        assert!(Scheme::From(0).controller(HERE, &BTreeSet::new()).is_err());
    }

    #[tokio::test]
    async fn a_busy_port_is_named_with_its_purpose() {
        let taken = TcpListener::bind((HERE, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = await_free(HERE, port).await.unwrap_err();
        assert_eq!(
            refusal(HERE, port, "clients of node-0", &error, "stop it"),
            format!(
                "port {port} is busy: another program listens on 127.0.0.1:{port}, which is for clients of node-0; stop it"
            )
        );
        drop(taken);
        await_free(HERE, port).await.unwrap();
    }
}
