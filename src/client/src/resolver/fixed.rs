//! A group that is known without asking anybody.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use synod_types::{ErrorCode, SlotTable};

use super::{PartitionTopology, Resolver, Topology};
use crate::error::{Error, Result};
use crate::trust::Trust;

/// Knows one group, which never changes: for tests, and for whoever has the addresses of all nodes at hand. Leaders are
/// found by asking the replicas.
#[derive(Clone, Debug)]
pub struct FixedResolver {
    topology: Topology,
}

impl FixedResolver {
    /// A group of `partitions` of which every node hosts a replica of each and speaks plain text. `endpoints` are the host:port of the nodes,
    /// for clients.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when the number of partitions is 0 or greater than 32768, or there is no endpoint.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        partitions: u32,
        endpoints: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let slots = SlotTable::new(partitions)?;
        let endpoints: Vec<String> = endpoints.into_iter().map(Into::into).collect();
        if endpoints.is_empty() {
            return Err(Error::new(
                ErrorCode::Invalid,
                "there is no endpoint: give that of one node at least",
            ));
        }
        let partition = PartitionTopology { endpoints, ..PartitionTopology::default() };
        let partitions = (0..partitions).map(|_| partition.clone()).collect();
        let (namespace, name) = (namespace.into(), name.into());
        Ok(Self::of(Topology { namespace, name, slots, partitions, trust: Trust::plain_text() }))
    }

    /// A group that looks like this.
    pub const fn of(topology: Topology) -> Self {
        Self { topology }
    }
}

impl Resolver for FixedResolver {
    fn watch(&self, namespace: &str, name: Option<&str>) -> BoxStream<'static, Result<Topology>> {
        let known = &self.topology;
        if namespace != known.namespace || name.is_some_and(|name| name != known.name) {
            let asked = name.unwrap_or_default();
            let message =
                format!("group \"{namespace}/{asked}\" is not known: only \"{}\" is", known.full_name());
            return stream::once(async { Err(Error::new(ErrorCode::NotFound, message)) }).boxed();
        }
        let topology = self.topology.clone();
        stream::once(async { Ok(topology) }).chain(stream::pending()).boxed()
    }
}
