//! The certificates of a group: made or taken over, renewed in time, and put where the pods of each partition read them.
//!
//! ```text
//!   authority (made here) ─┐
//!                          ├──► what is to be in use ──► rotation (pure) ──► a Secret for each partition ──► its pods
//!   Secret of the user ────┘
//! ```
//!
//! Invariants:
//! - The key of an authority is in one Secret, which no pod mounts.
//! - A Secret is created once and replaced only as it was seen: of two operators one decides.
//! - What replicas could not use never reaches them: what they have stays.
//! - Nothing is written while nothing is due.

mod names;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt as _};
use synod_api::{PartitionGroup, TlsType, labels, names as objects};
use synod_types::PartitionId;

use self::names::Names;
use super::super::apply::{ApplyError, Writer};
use super::super::cache::Cache;
use super::super::certificates::{
    Authority, Bundle, Pair, Source, authority_secret, certificate_secret, since,
};
use super::super::store::store;
use super::dereference::belongs_to;
use super::{Context, Scope};

/// The certificates of a group, as they are in use.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Who vouches for the replicas, in PEM.
    pub(super) ca_pem: Option<String>,
    /// The partitions whose replicas cannot start, for want of a certificate.
    pub(super) uncertified: BTreeSet<PartitionId>,
    /// Why what should be in use is not, and what to do.
    pub(super) problem: Option<String>,
    /// What the API server refused.
    pub(super) refused: Option<ApplyError>,
}

/// Why there is no source.
enum Lack {
    /// The user has to do something.
    Problem(String),
    Refused(ApplyError),
}

/// Looks after the certificates of a group. Unless `is_quiet`, what is due is written.
pub(super) async fn keep(
    context: &Context,
    scope: &Scope,
    group: &PartitionGroup,
    is_quiet: bool,
    now: i64,
) -> Certificates {
    let partitions: Vec<_> = (0..group.spec.partitions).map(PartitionId).collect();
    if group.spec.security.tls.tls_type == TlsType::PlainText {
        return Certificates::default();
    }
    let writer = Writer {
        client: context.client.clone(),
        field_manager: objects::PARTITION_GROUP_FIELD_MANAGER,
        namespace: scope.namespace.clone(),
        owner: super::owner(group),
    };
    let keeper = Keeper { scope, cache: &context.cache, writer, now };
    let mut certificates = Certificates::default();
    let source = if is_quiet { None } else { Some(keeper.source(group, &partitions).await) };
    let source = match source {
        Some(Ok(source)) => Some(source),
        Some(Err(Lack::Problem(problem))) => {
            certificates.problem = Some(problem);
            None
        }
        Some(Err(Lack::Refused(refused))) => {
            certificates.refused = Some(refused);
            None
        }
        None => None,
    };
    let mut trusted = Bundle::default();
    for id in partitions {
        let pair = match keeper.partition(id, source.as_ref()).await {
            Ok(pair) => pair,
            Err(refused) => {
                certificates.refused.get_or_insert(refused);
                keeper.held(id).and_then(|secret| Pair::read(&secret).ok())
            }
        };
        match pair {
            Some(pair) => trusted = trusted.with(&Bundle::of(&pair.ca)),
            None => drop(certificates.uncertified.insert(id)),
        }
    }
    certificates.ca_pem = Some(trusted.pem()).filter(|_| !trusted.is_empty());
    certificates
}

/// Looks after the certificates of one group.
struct Keeper<'a> {
    scope: &'a Scope,
    cache: &'a Cache,
    writer: Writer,
    now: i64,
}

impl Keeper<'_> {
    async fn source(&self, group: &PartitionGroup, partitions: &[PartitionId]) -> Result<Source, Lack> {
        match &group.spec.security.tls.secret_name {
            Some(name) => self.given(name, partitions).await.map(Source::Given),
            None => self.authority().await.map(Source::Made).map_err(Lack::Refused),
        }
    }

    /// What the user provides, if it is fit.
    async fn given(&self, name: &str, partitions: &[PartitionId]) -> Result<Pair, Lack> {
        let api: Api<Secret> = Api::namespaced(self.writer.client.clone(), &self.scope.namespace);
        let found = api.get_opt(name).await.map_err(|source| {
            Lack::Refused(ApplyError::Refused { kind: "Secret".to_owned(), name: name.to_owned(), source })
        })?;
        let problem = |problem: String| Lack::Problem(format!("Secret \"{name}\": {problem}"));
        let found = found
            .ok_or_else(|| problem("it does not exist: create it, or have cert-manager do so".into()))?;
        let pair = Pair::read(&found).map_err(problem)?;
        pair.check(&Names::of(self.scope, partitions.iter().copied()), self.now).map_err(problem)?;
        Ok(pair)
    }

    /// The authority of the group, made if there is none or if it is time for another one.
    async fn authority(&self) -> Result<Authority, ApplyError> {
        let name = objects::authority(&self.scope.name);
        let there = self.owned(&name);
        let authority = there.as_deref().and_then(Authority::read);
        if let Some(authority) = authority.filter(|authority| !authority.is_due(self.now)) {
            return Ok(authority);
        }
        let made = Authority::make(&self.scope.name, self.now)?;
        let metadata = self.metadata(&name, labels::of_group(&self.scope.name), there.as_deref());
        tracing::info!(group = self.scope.label(), "a new authority for certificates");
        let stored = self.store(authority_secret(metadata, &made)).await?;
        Authority::read(&stored).ok_or_else(|| ApplyError::Damaged { kind: "Secret".to_owned(), name })
    }

    /// What is in use for a partition, after what was due is done.
    async fn partition(&self, id: PartitionId, source: Option<&Source>) -> Result<Option<Pair>, ApplyError> {
        let secret = self.held(id);
        let held = secret.as_deref().and_then(|secret| Pair::read(secret).ok());
        let Some(source) = source else { return Ok(held) };
        let names = Names::of(self.scope, [id]);
        let due = source.due(held.as_ref(), since(secret.as_deref()), &names, self.now)?;
        let Some(pair) = due else { return Ok(held) };
        let name = objects::certificate(&self.scope.name, id);
        let labels = labels::of_partition(&self.scope.name, id);
        let metadata = self.metadata(&name, labels, secret.as_deref());
        tracing::info!(group = self.scope.label(), partition = %id, "certificates renewed");
        let stored = self.store(certificate_secret(metadata, &pair, self.now)).await?;
        Ok(Pair::read(&stored).ok())
    }

    /// Writes a Secret as it was seen, unless it has come to be somebody else's.
    async fn store(&self, secret: Secret) -> Result<Secret, ApplyError> {
        let api = Api::namespaced(self.writer.client.clone(), &self.writer.namespace);
        let there = store(&api, self.writer.field_manager, &secret).await?;
        if self.writer.is_ours(&there) {
            return Ok(there);
        }
        Err(ApplyError::Foreign { kind: "Secret".to_owned(), name: there.name_any() })
    }

    fn held(&self, id: PartitionId) -> Option<Arc<Secret>> {
        self.owned(&objects::certificate(&self.scope.name, id))
    }

    /// A Secret of this group.
    fn owned(&self, name: &str) -> Option<Arc<Secret>> {
        let secret = self.cache.secrets.get(&ObjectRef::new(name).within(&self.scope.namespace));
        secret.filter(|secret| belongs_to(&**secret, &self.scope.uid))
    }

    /// The metadata of a Secret; of the one that is there, as it was seen, if there is one.
    fn metadata(
        &self,
        name: &str,
        labels: std::collections::BTreeMap<String, String>,
        there: Option<&Secret>,
    ) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.scope.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![self.writer.owner.clone()]),
            uid: there.and_then(|secret| secret.uid()),
            resource_version: there.and_then(|secret| secret.resource_version()),
            ..ObjectMeta::default()
        }
    }
}
