//! How a partition began, remembered in a ConfigMap that is created once and never changed.
//!
//! Creating it is the decision: of two operators that decide at the same time, the API server lets one. It goes with the
//! group, so that a group of the same name begins anew; volumes that stay are no part of that, because the directory on
//! them is named by the uid of the group.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use synod_api::{labels, names};
use synod_types::PartitionId;

use crate::membership::Genesis;

/// The entry that holds it.
const KEY: &str = "genesis.json";

/// Whose beginning is to be remembered.
pub(super) struct Birth<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) group: &'a str,
    pub(super) owner: &'a OwnerReference,
}

/// Why the beginning of a partition cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum BirthError {
    #[error("how partition {partition} begins cannot be remembered: {source}")]
    Refused {
        partition: PartitionId,
        #[source]
        source: kube::Error,
    },
    #[error("how partition {partition} began cannot be read: {problem}")]
    Unreadable { partition: PartitionId, problem: String },
    #[error("how partition {partition} begins has no place in JSON: {source}")]
    Json {
        partition: PartitionId,
        #[source]
        source: serde_json::Error,
    },
}

impl Birth<'_> {
    /// Remembers how a partition begins, unless that was decided before. Returns what was decided.
    pub(super) async fn decide(
        &self,
        partition: PartitionId,
        genesis: &Genesis,
    ) -> Result<Genesis, BirthError> {
        let refused = |source| BirthError::Refused { partition, source };
        let name = names::partition(self.group, partition);
        let text =
            serde_json::to_string_pretty(genesis).map_err(|source| BirthError::Json { partition, source })?;
        let configuration = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels::of_partition(self.group, partition)),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            immutable: Some(true),
            ..ConfigMap::default()
        };
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters = PostParams {
            field_manager: Some(names::PARTITION_GROUP_FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match api.create(&parameters, &configuration).await {
            Ok(_) => Ok(genesis.clone()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = api.get(&name).await.map_err(refused)?;
                let is_ours =
                    there.metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.owner.uid);
                if !is_ours {
                    let problem =
                        format!("ConfigMap \"{name}\" belongs to somebody else: delete or rename it");
                    return Err(BirthError::Unreadable { partition, problem });
                }
                remembered(&there).map_err(|problem| BirthError::Unreadable { partition, problem })
            }
            Err(error) => Err(refused(error)),
        }
    }
}

/// What a ConfigMap remembers.
pub(super) fn remembered(configuration: &ConfigMap) -> Result<Genesis, String> {
    let text = configuration.data.as_ref().and_then(|data| data.get(KEY));
    let text = text.ok_or_else(|| format!("the ConfigMap has no \"{KEY}\": bring it back from a backup"))?;
    serde_json::from_str(text).map_err(|error| format!("\"{KEY}\" of the ConfigMap is damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use synod_types::Limits;

    use super::*;

    #[test]
    fn what_is_not_there_or_damaged_is_never_taken_for_nothing() {
        let of = |data: Option<&str>| ConfigMap {
            data: data.map(|text| BTreeMap::from([(KEY.to_owned(), text.to_owned())])),
            ..ConfigMap::default()
        };
        let genesis = Genesis::new(Vec::new(), 3, &Limits::default(), 7).unwrap();
        assert_eq!(remembered(&of(Some(&serde_json::to_string(&genesis).unwrap()))), Ok(genesis));
        assert!(remembered(&of(None)).unwrap_err().contains("bring it back"));
        assert!(remembered(&of(Some("{}"))).unwrap_err().contains("damaged"));
    }
}
