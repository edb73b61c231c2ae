//! The sixth stage: the objects are written, and what was planned is begun.

use futures::future::join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use synod_api::names;

use super::super::apply::{ApplyError, Writer};
use super::super::cache::Cache;
use super::super::difference::thousandths;
use super::Scope;
use super::build::Objects;
use super::dereference::{Found, Place};
use super::observe::Seen;
use super::plan::{Plan, Roll};
use crate::membership::{Action, Step, carry_out};

/// Writes every object that differs. What others need comes first: an account before the pods that run under it.
///
/// # Errors
/// The first refusal; the objects after it are not written.
pub(super) async fn apply(writer: &Writer, cache: &Cache, objects: Objects) -> Result<(), ApplyError> {
    let Objects { account, services, budgets, policies, sets } = objects;
    if let Some(account) = account {
        writer.apply(&cache.accounts, account).await?;
    }
    for service in services {
        writer.apply(&cache.services, service).await?;
    }
    for budget in budgets {
        writer.apply(&cache.budgets, budget).await?;
    }
    for policy in policies {
        writer.apply(&cache.policies, policy).await?;
    }
    for set in sets {
        writer.apply(&cache.sets, set).await?;
    }
    Ok(())
}

/// Asks for larger volumes where they are smaller than `size`: also those of new replicas, because what a set says of its
/// claims cannot be changed. A claim that has no volume yet may not grow; it does as soon as it has one.
///
/// # Errors
/// The first refusal: the storage class may not allow it.
pub(super) async fn grow(
    client: &Client,
    scope: &Scope,
    found: &[Found],
    size: &str,
) -> Result<(), ApplyError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &scope.namespace);
    let places = found.iter().flat_map(|partition| &partition.places);
    for claim in places.filter_map(|place| place.claim_in("Bound")) {
        let asked = requested(claim).and_then(thousandths);
        if asked.zip(thousandths(size)).is_none_or(|(asked, wanted)| asked >= wanted) {
            continue;
        }
        let name = claim.name_any();
        let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let parameters = PatchParams {
            field_manager: Some(names::PARTITION_GROUP_FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        api.patch(&name, &parameters, &Patch::Merge(patch)).await.map_err(|source| ApplyError::Refused {
            kind: "PersistentVolumeClaim".to_owned(),
            name,
            source,
        })?;
    }
    Ok(())
}

fn requested(claim: &PersistentVolumeClaim) -> Option<&str> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get("storage").map(|size| size.0.as_str())
}

/// A partition, what is seen of it, and what is to be done.
pub(super) struct Task<'a> {
    pub(super) found: &'a Found,
    pub(super) seen: &'a Seen,
    pub(super) plan: &'a Plan,
}

impl Task<'_> {
    fn action(&self) -> Option<(&Action, &str)> {
        match (&self.plan.step, &self.plan.roll) {
            (Step::Act { action, reason }, _) => Some((action, reason)),
            (_, Roll::HandOver { action, reason }) => Some((action, reason)),
            _ => None,
        }
    }

    /// Does what was planned. Returns whether there was anything.
    async fn act(&self, client: &Client, scope: &Scope) -> bool {
        let mut acted = false;
        if let Some((action, reason)) = self.action() {
            acted = true;
            let (group, partition) = (scope.label(), self.found.id);
            tracing::info!(group, %partition, reason, ?action, "membership");
            if let Err(error) = carry_out(action, &group, partition, &self.seen.nodes).await {
                // The next look tells what became of it.
                tracing::info!(group, %partition, %error, "refused");
            }
        }
        if let Roll::Replace { ordinal, reason } = &self.plan.roll {
            acted = true;
            let place = self.found.places.iter().find(|place| place.ordinal == *ordinal);
            tracing::info!(group = scope.label(), partition = %self.found.id, reason, "replacing a pod");
            if let Some(Err(error)) = replace(client, scope, place).await {
                tracing::info!(group = scope.label(), partition = %self.found.id, %error, "refused");
            }
        }
        acted
    }
}

/// Deletes a pod, if it is still the one that was seen, as it was seen: its set makes another one.
async fn replace(client: &Client, scope: &Scope, place: Option<&Place>) -> Option<Result<(), kube::Error>> {
    let pod = place?.pod.as_deref()?;
    let api: Api<Pod> = Api::namespaced(client.clone(), &scope.namespace);
    let preconditions = Preconditions { uid: pod.uid(), resource_version: pod.resource_version() };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    Some(api.delete(&pod.name_any(), &parameters).await.map(drop))
}

/// Does what was planned for each partition: one thing each, all at once, because no partition depends on another.
/// Returns whether there was anything.
pub(super) async fn act(client: &Client, scope: &Scope, tasks: &[Task<'_>]) -> bool {
    join_all(tasks.iter().map(|task| task.act(client, scope))).await.contains(&true)
}
