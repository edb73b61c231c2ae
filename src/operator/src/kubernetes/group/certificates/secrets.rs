//! Writing Secrets, whose content cannot be written twice in the same way.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use super::super::super::apply::{ApplyError, Writer};

/// Creates a Secret; or replaces one, if it is still of the version that it says. Returns what is there then: that of
/// somebody else, if that one was faster.
pub(super) async fn store(writer: &Writer, secret: Secret) -> Result<Secret, ApplyError> {
    let name = secret.name_any();
    let api: Api<Secret> = Api::namespaced(writer.client.clone(), &writer.namespace);
    let refused = |source| ApplyError::Refused { kind: "Secret".to_owned(), name: name.clone(), source };
    let parameters =
        PostParams { field_manager: Some(writer.field_manager.to_owned()), ..PostParams::default() };
    let stored = match secret.resource_version() {
        Some(_) => api.replace(&name, &parameters, &secret).await,
        None => api.create(&parameters, &secret).await,
    };
    match stored {
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => {}
        stored => return stored.map_err(refused),
    }
    let there = api.get(&name).await.map_err(refused)?;
    if writer.is_ours(&there) {
        Ok(there)
    } else {
        Err(ApplyError::Foreign { kind: "Secret".to_owned(), name })
    }
}
