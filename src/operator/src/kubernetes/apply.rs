//! Writing objects: server-side apply, of what differs and of nothing else.
//!
//! Invariants:
//! - An object that says already what it should is not written: a settled cluster sees no writes.
//! - An object that somebody else made is never taken over.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use super::difference::contains;

/// The hash of what was last asked of an object.
const APPLIED: &str = "synod.dev/applied";

/// Why an object could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// Somebody else has an object of that name.
    #[error(
        "{kind} \"{name}\" exists and does not belong to this group: delete or rename it, or give the group another name"
    )]
    Foreign {
        /// The kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server refused.
    #[error("{kind} \"{name}\" cannot be written: {}", refusal(source))]
    Refused {
        /// The kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The API server does not say what is there.
    #[error("{kind} \"{name}\" cannot be read: {}", refusal(source))]
    Unread {
        /// The kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// What is there cannot be used.
    #[error("{kind} \"{name}\" is damaged: delete it, and it is made anew")]
    Damaged {
        /// The kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It has no place in JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What the API server says, without how it says it.
fn refusal(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// A kind that the operator writes.
pub(super) trait Written:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
{
}

impl<K> Written for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// Writes the objects of one owner.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) field_manager: &'static str,
    pub(super) namespace: String,
    pub(super) owner: OwnerReference,
}

impl Writer {
    /// Makes an object be as `desired`, which has a name. `cache` is where it is if it exists and is ours. Returns
    /// whether it was written.
    pub(super) async fn apply<K: Written + 'static>(
        &self,
        cache: &Store<K>,
        mut desired: K,
    ) -> Result<bool, ApplyError> {
        let name = desired.name_any();
        desired.meta_mut().namespace = Some(self.namespace.clone());
        desired.meta_mut().owner_references = Some(vec![self.owner.clone()]);
        let hash = format!("{:016x}", xxh3_64(serde_json::to_string(&desired)?.as_bytes()));
        desired.annotations_mut().insert(APPLIED.to_owned(), hash.clone());
        let live = cache.get(&ObjectRef::new(&name).within(&self.namespace));
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let refused =
            |source| ApplyError::Refused { kind: K::kind(&()).into_owned(), name: name.clone(), source };
        let live = match live {
            Some(live) => Some(live),
            // It may be there without our labels.
            None => api.get_opt(&name).await.map_err(refused)?.map(Arc::new),
        };
        if let Some(live) = live {
            if !self.is_ours(&*live) {
                return Err(ApplyError::Foreign { kind: K::kind(&()).into_owned(), name });
            }
            if live.annotations().get(APPLIED) == Some(&hash)
                && contains(&serde_json::to_value(&*live)?, &serde_json::to_value(&desired)?)
            {
                return Ok(false);
            }
        }
        let parameters = PatchParams::apply(self.field_manager).force();
        api.patch(&name, &parameters, &Patch::Apply(&desired)).await.map_err(refused)?;
        tracing::debug!(kind = %K::kind(&()), namespace = self.namespace, name, "applied");
        Ok(true)
    }

    pub(super) fn is_ours<K: Resource>(&self, object: &K) -> bool {
        object.meta().owner_references.iter().flatten().any(|owner| owner.uid == self.owner.uid)
    }
}
