//! Groups as another resolver knows them, with replicas in whom the program itself says how to trust.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::{Resolver, Topology};
use crate::error::Result;
use crate::trust::Trust;

/// Says the same as another resolver, but whom to trust.
#[derive(Debug)]
pub(crate) struct TrustingResolver {
    resolver: Arc<dyn Resolver>,
    trust: Trust,
}

impl TrustingResolver {
    pub(crate) const fn new(resolver: Arc<dyn Resolver>, trust: Trust) -> Self {
        Self { resolver, trust }
    }
}

impl Resolver for TrustingResolver {
    fn watch(&self, namespace: &str, name: Option<&str>) -> BoxStream<'static, Result<Topology>> {
        let trust = self.trust.clone();
        let topologies = self.resolver.watch(namespace, name);
        topologies.map(move |topology| topology.map(|it| Topology { trust: trust.clone(), ..it })).boxed()
    }
}
