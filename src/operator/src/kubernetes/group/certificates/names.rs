//! What a certificate must name. Pure.

use synod_api::names;
use synod_types::PartitionId;

use super::super::super::certificates::Subject;
use super::super::Scope;

/// The names of the replicas of some partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Stands for all partitions of the group.
    group_uri: String,
    partitions: Vec<PartitionNames>,
    /// The Services, by which clients of other dialects come.
    services: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PartitionNames {
    uri: String,
    /// Any replica.
    wildcard: String,
    /// One of them.
    replica: String,
}

impl Names {
    pub(super) fn of(scope: &Scope, partitions: impl IntoIterator<Item = PartitionId>) -> Self {
        let Scope { namespace, name, .. } = scope;
        let group_uri = format!("synod://{namespace}/{name}");
        let mut services = vec![name.clone()];
        let mut of_partition = |id| {
            let domain = format!("{}.{namespace}.svc", names::headless_service(name, id));
            services.push(names::partition(name, id));
            PartitionNames {
                uri: format!("{group_uri}/{id}"),
                wildcard: format!("*.{domain}"),
                replica: format!("{}.{domain}", names::pod(name, id, 0)),
            }
        };
        let partitions = partitions.into_iter().map(&mut of_partition).collect();
        let forms = |service: &String| {
            let full = format!("{service}.{namespace}.svc");
            [service.clone(), format!("{service}.{namespace}"), format!("{full}.cluster.local"), full]
        };
        Self { group_uri, partitions, services: services.iter().flat_map(forms).collect() }
    }
}

impl Subject for Names {
    fn dns(&self) -> Vec<String> {
        let replicas = self.partitions.iter().flat_map(|partition| {
            [partition.wildcard.clone(), format!("{}.cluster.local", partition.wildcard)]
        });
        replicas.chain(self.services.iter().cloned()).collect()
    }

    fn uris(&self) -> Vec<String> {
        self.partitions.iter().map(|partition| partition.uri.clone()).collect()
    }

    /// The Services are none of what is looked for.
    fn missing(&self, is_for: &dyn Fn(&str) -> bool, uris: &[&str]) -> Vec<String> {
        let mut missing = Vec::new();
        for PartitionNames { uri, wildcard, replica } in &self.partitions {
            if !is_for(replica) {
                missing.push(format!("the DNS name {wildcard}"));
            }
            if !uris.contains(&uri.as_str()) && !uris.contains(&self.group_uri.as_str()) {
                missing.push(format!("the URI {} or {uri}", self.group_uri));
            }
        }
        missing
    }
}
