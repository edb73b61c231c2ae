//! `Primitive`s: created in their group as they are declared.
//!
//! Creating one that exists already changes nothing, so it is done whenever nothing is known. A finalizer is there only
//! while deleting the object is to delete the primitive.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action as Next;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;
use synod_api::conditions::{self, reasons};
use synod_api::{DeletionPolicy, Primitive, PrimitiveStatus, names};
use synod_types::{Error, ErrorCode};

use super::backoff::jittered;
use super::condition::{Said, merge};
use super::directory::ClusterDirectory;
use crate::controller::{Directory as _, GroupKey, PrimitiveKey, create_primitive, delete_primitive};

/// Keeps an object until the primitive is gone.
const FINALIZER: &str = "synod.dev/delete-primitive";

/// When to look again at a primitive whose group does not serve, or whose status could not be written.
const UNSETTLED: Duration = Duration::from_secs(2);

/// When to make sure again that a primitive is there: somebody may have deleted it.
const SETTLED: Duration = Duration::from_secs(3_600);

/// What all primitives share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) directory: Arc<ClusterDirectory>,
}

/// Why a primitive could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrimitiveError {
    /// Its status could not be written.
    #[error("the status cannot be written: {0}")]
    Status(#[source] kube::Error),
    /// Its finalizer could not be written.
    #[error("the finalizers cannot be written: {0}")]
    Finalizer(#[source] kube::Error),
    /// It cannot be deleted yet.
    #[error("the primitive cannot be deleted: {0}")]
    Delete(#[source] Error),
}

/// Looks after a primitive once.
///
/// # Errors
/// What is to be tried again.
pub(super) async fn reconcile(
    primitive: Arc<Primitive>,
    context: Arc<Context>,
) -> Result<Next, PrimitiveError> {
    let key = (primitive.namespace().unwrap_or_default(), primitive.spec.group.clone());
    if primitive.metadata.deletion_timestamp.is_some() {
        return delete(&context, &primitive, &key).await;
    }
    let deletes = primitive.spec.deletion_policy == DeletionPolicy::Delete;
    let has_finalizer = primitive.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if deletes != has_finalizer {
        return set_finalizer(&context, &primitive, deletes).await;
    }
    let problems: Vec<_> = primitive.validate().iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        let said = Said::new(conditions::READY, false, reasons::INVALID_SPEC, problems.join("; "));
        let is_said = publish(&context, &primitive, vec![said], Vec::new()).await?;
        return Ok(if is_said { Next::await_change() } else { Next::requeue(jittered(UNSETTLED)) });
    }
    let created = create_primitive(context.directory.groups(), &key, &PrimitiveKey::from(&*primitive)).await;
    let (said, partitions, next) = match created {
        Ok(partitions) => {
            let said = Said::new(conditions::READY, true, reasons::AS_DECLARED, "it exists");
            (said, partitions, SETTLED)
        }
        Err(error) => {
            let said = Said::new(conditions::READY, false, reason(&error), error.to_string());
            (said, Vec::new(), UNSETTLED)
        }
    };
    let is_said = publish(&context, &primitive, vec![said], partitions).await?;
    Ok(Next::requeue(jittered(if is_said { next } else { UNSETTLED })))
}

fn reason(error: &Error) -> &'static str {
    match error.code() {
        ErrorCode::NotFound => reasons::GROUP_NOT_FOUND,
        ErrorCode::Forbidden => reasons::NAME_TAKEN,
        ErrorCode::Invalid => reasons::INVALID_SPEC,
        _ => reasons::GROUP_NOT_READY,
    }
}

/// Deletes the primitive, if it has to be, then lets the object go. A group that exists no more has taken it along.
async fn delete(context: &Context, primitive: &Primitive, key: &GroupKey) -> Result<Next, PrimitiveError> {
    if !primitive.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Next::await_change());
    }
    if primitive.spec.deletion_policy == DeletionPolicy::Delete {
        let deleted = delete_primitive(context.directory.groups(), key, &PrimitiveKey::from(primitive)).await;
        match deleted {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(PrimitiveError::Delete(error)),
        }
    }
    set_finalizer(context, primitive, false).await
}

async fn set_finalizer(
    context: &Context,
    primitive: &Primitive,
    is_there: bool,
) -> Result<Next, PrimitiveError> {
    let mut finalizers = primitive.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if is_there {
        finalizers.push(FINALIZER.to_owned());
    }
    // With the version that was read: a list is replaced as a whole.
    let metadata = json!({"finalizers": finalizers, "resourceVersion": primitive.resource_version()});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let api = api(context, primitive);
    match api.patch(&primitive.name_any(), &parameters(), &patch).await {
        Ok(_) => Ok(Next::requeue(Duration::ZERO)),
        Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(Next::await_change()),
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Next::requeue(jittered(UNSETTLED))),
        Err(error) => Err(PrimitiveError::Finalizer(error)),
    }
}

/// Writes the status, if it says anything new. False if somebody changed the primitive meanwhile, or it is no more: nothing is
/// written then, and nobody tells when that change is no news to this operator.
async fn publish(
    context: &Context,
    primitive: &Primitive,
    said: Vec<Said>,
    partitions: Vec<u32>,
) -> Result<bool, PrimitiveError> {
    let before = primitive.status.clone().unwrap_or_default();
    let generation = primitive.metadata.generation;
    let status = PrimitiveStatus {
        observed_generation: generation,
        conditions: merge(&before.conditions, said, generation, Timestamp::now()),
        partitions,
    };
    if status == before {
        return Ok(true);
    }
    let patch = json!({
        "apiVersion": synod_api::API_VERSION,
        "kind": Primitive::kind(&()),
        "metadata": {"resourceVersion": primitive.resource_version()},
        "status": status,
    });
    let api = api(context, primitive);
    match api.patch_status(&primitive.name_any(), &parameters().force(), &Patch::Apply(&patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => Ok(false),
        Err(error) => Err(PrimitiveError::Status(error)),
    }
}

fn api(context: &Context, primitive: &Primitive) -> Api<Primitive> {
    Api::namespaced(context.client.clone(), &primitive.namespace().unwrap_or_default())
}

fn parameters() -> PatchParams {
    PatchParams::apply(names::PRIMITIVE_FIELD_MANAGER)
}
