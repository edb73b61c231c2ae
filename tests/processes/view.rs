//! A running group, as it can be seen from outside.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use synod_client::admin::{Admin, Phase, Replica, Role};
use synod_client::resolver::FixedResolver;
use synod_client::{Client, Group};
use tokio::time::sleep;

pub(crate) const PARTITIONS: usize = 3;
pub(crate) const GROUP: &str = "sample";

/// How long anything may take before it counts as hanging. Many tests share a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How long to wait before looking again.
pub(crate) const AGAIN: Duration = Duration::from_millis(20);

/// A group of three partitions with three replicas each: where it is, and how it is asked.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The host:port of the controller; where there is none, clients are told where the nodes are.
    pub(crate) controller: Option<String>,
    /// The nodes with the host:port of each, for clients.
    pub(crate) nodes: Vec<(String, String)>,
}

/// What a node says of a replica.
pub(crate) struct Seen {
    pub(crate) node: String,
    pub(crate) replica: Replica,
}

impl View {
    /// A client of the group. It has all the patience of the test, so that hardly any outcome stays unknown.
    pub(crate) async fn client(&self) -> (Client, Group) {
        let builder = Client::builder().request_timeout(PATIENCE);
        let builder = match &self.controller {
            Some(controller) => builder.controller(format!("http://{controller}")),
            None => {
                let endpoints = self.nodes.iter().map(|(_, address)| address);
                builder.resolver(FixedResolver::new("default", GROUP, PARTITIONS as u32, endpoints).unwrap())
            }
        };
        let client = builder.build().await.unwrap();
        let group = client.group(GROUP).await.unwrap();
        (client, group)
    }

    /// The names of the nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().map(|(name, _)| name.clone())
    }

    /// The admin service of each node.
    pub(crate) fn admins(&self) -> Vec<(String, Admin)> {
        self.nodes.iter().map(|(name, address)| (name.clone(), Admin::new(address).unwrap())).collect()
    }

    /// What all nodes that answer say now.
    pub(crate) async fn look(&self) -> Vec<Seen> {
        look(&self.admins()).await
    }

    /// Waits until what the nodes say is as it should be.
    pub(crate) async fn see<T>(&self, what: &str, mut find: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let seen = self.look().await;
            if let Some(found) = find(&seen) {
                return found;
            }
            let told: Vec<_> = seen.iter().map(|seen| (&seen.node, &seen.replica)).collect();
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {told:#?}");
            sleep(AGAIN).await;
        }
    }

    /// The node that leads a partition.
    pub(crate) async fn leader(&self, partition: u32) -> String {
        self.see(&format!("a leader of partition {partition}"), |seen| {
            let leads =
                |seen: &&Seen| seen.replica.partition == partition && seen.replica.role() == Role::Leader;
            seen.iter().filter(leads).max_by_key(|seen| seen.replica.term).map(|seen| seen.node.clone())
        })
        .await
    }

    /// Waits until every replica runs, votes and has a leader.
    pub(crate) async fn is_whole(&self) {
        self.see("every replica runs", |seen| {
            let running = seen.iter().filter(|seen| {
                let Replica { leader, members, .. } = &seen.replica;
                seen.replica.phase() == Phase::Running && *leader != 0 && members.len() == 3
            });
            let nodes: BTreeSet<_> = seen.iter().map(|seen| &seen.node).collect();
            (running.count() == 3 * PARTITIONS && nodes.len() == 3).then_some(())
        })
        .await;
    }
}

/// What the nodes that answer say.
pub(crate) async fn look(admins: &[(String, Admin)]) -> Vec<Seen> {
    let ask = admins.iter().map(async |(node, admin)| {
        let status = tokio::time::timeout(Duration::from_secs(1), admin.status()).await;
        let replicas = status.ok().and_then(Result::ok).map(|status| status.replicas).unwrap_or_default();
        replicas.into_iter().map(|replica| Seen { node: node.clone(), replica }).collect::<Vec<_>>()
    });
    futures::future::join_all(ask).await.into_iter().flatten().collect()
}
