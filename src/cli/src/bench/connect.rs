//! The connections to the group that is measured.

use anyhow::Context as _;
use synod_client::resolver::FixedResolver;
use synod_client::{Client, Group};
use synod_types::DEFAULT_NAMESPACE;

use crate::target;

/// Whose primitives are used.
const APPLICATION: &str = "synod-bench";

/// Which group is measured.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Target {
    #[command(flatten)]
    group: target::Target,

    /// The host:port of every node of the group, to do without a controller.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        requires = "group",
        help_heading = "Where"
    )]
    endpoints: Vec<String>,

    /// How many partitions the group has, if there is no controller to ask.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "endpoints", help_heading = "Where")]
    partitions: u32,
}

/// One client of the SDK: a session and a stream to the leader of each partition.
pub(super) struct Connection {
    client: Client,
    pub(super) group: Group,
}

impl Target {
    async fn connect(&self) -> anyhow::Result<Connection> {
        let mut builder = self.group.builder().application(APPLICATION);
        if !self.endpoints.is_empty() {
            let namespace = Some(self.group.namespace_name()).filter(|name| !name.is_empty());
            let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
            let resolver = FixedResolver::new(
                namespace.clone(),
                self.group.group_name(),
                self.partitions,
                &self.endpoints,
            )?;
            builder = builder.namespace(namespace).resolver(resolver);
        }
        let client = builder.build().await?;
        let group = client.default_group().await.context("cannot find the group to measure")?;
        Ok(Connection { client, group })
    }

    /// Opens so many connections.
    pub(super) async fn connect_all(&self, count: usize) -> anyhow::Result<Vec<Connection>> {
        futures::future::try_join_all((0..count).map(|_| self.connect())).await
    }
}

impl Connection {
    /// The host:port of all replicas.
    pub(super) fn endpoints(&self) -> Vec<String> {
        let topology = self.group.topology();
        let mut endpoints: Vec<_> =
            topology.partitions.iter().flat_map(|partition| partition.endpoints.clone()).collect();
        endpoints.sort();
        endpoints.dedup();
        endpoints
    }

    pub(super) async fn close(self) {
        self.client.close().await;
    }
}
