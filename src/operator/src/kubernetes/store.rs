//! Writing objects whose content cannot be written twice in the same way: as they were seen, or not at all.

use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use super::apply::{ApplyError, Written};

/// Creates an object; or replaces one, if it is still of the version that it says. Returns what is there then: that of
/// somebody else, if that one was faster.
pub(super) async fn store<K: Written>(
    api: &Api<K>,
    field_manager: &str,
    object: &K,
) -> Result<K, ApplyError> {
    let name = object.name_any();
    let refused =
        |source| ApplyError::Refused { kind: K::kind(&()).into_owned(), name: name.clone(), source };
    let parameters = PostParams { field_manager: Some(field_manager.to_owned()), ..PostParams::default() };
    let stored = match object.resource_version() {
        Some(_) => api.replace(&name, &parameters, object).await,
        None => api.create(&parameters, object).await,
    };
    match stored {
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => api.get(&name).await.map_err(refused),
        stored => stored.map_err(refused),
    }
}
