//! What an operator has written, without what is different each time.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use synod_api::{PartitionGroup, Primitive};

/// What there is in a namespace: each object under its kind and name.
pub(super) type Snapshot = BTreeMap<String, Value>;

/// The kinds that a group consists of.
pub(super) fn kinds() -> [ApiResource; 7] {
    [
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<StatefulSet>(&()),
    ]
}

/// The objects of a kind in a namespace.
pub(super) async fn list(client: &Client, namespace: &str, kind: &ApiResource) -> Vec<DynamicObject> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    api.list(&ListParams::default()).await.unwrap().items
}

/// What there is of a group, its primitives, and the nodes on which it runs.
pub(super) async fn take(client: &Client, namespace: &str) -> Snapshot {
    let mut snapshot = Snapshot::new();
    let declared = [ApiResource::erase::<PartitionGroup>(&()), ApiResource::erase::<Primitive>(&())];
    for kind in kinds().iter().chain(&declared) {
        for object in list(client, namespace, kind).await {
            let name = format!("{} {}", kind.kind, object.metadata.name.clone().unwrap_or_default());
            let owner = object.owner_references().first().map_or("NOBODY", |owner| &owner.uid).to_owned();
            let object = plain(&kind.kind, serde_json::to_value(object).unwrap());
            let text = object.to_string().replace(namespace, "NAMESPACE").replace(&owner, "OWNER");
            snapshot.insert(name, serde_json::from_str(&text).unwrap());
        }
    }
    snapshot
}

/// An object, which does not tell its kind in a list, without what the API server sets, and what is drawn by chance or depends on the time.
fn plain(kind: &str, mut object: Value) -> Value {
    let metadata = object["metadata"].take();
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let owners: Vec<_> =
        owners.map(|owner| json!([owner["kind"], owner["name"], owner["controller"]])).collect();
    let mut annotations = metadata["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        // They depend on the uid of the owner, and on the time.
        annotations.retain(|name, _| {
            !["synod.dev/applied", "synod.dev/certificates-since", TOUCHED].contains(&name.as_str())
        });
    }
    object["metadata"] = json!({
        "labels": metadata["labels"],
        "annotations": annotations,
        "finalizers": metadata["finalizers"],
        "owners": owners,
    });
    match kind {
        "Service" => {
            for given in ["clusterIP", "clusterIPs"] {
                let value = &mut object["spec"][given];
                // Of a headless one it is what was asked for.
                let is_asked = value == "None" || value[0] == "None";
                *value = if is_asked { json!("None") } else { Value::Null };
            }
        }
        "Secret" => {
            let data = object["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
            object["data"] = json!(data);
        }
        "ConfigMap" => {
            let text = object["data"]["genesis.json"].as_str().unwrap();
            let mut genesis: Value = serde_json::from_str(text).unwrap();
            genesis["bornMs"].take();
            for founder in genesis["founders"].as_array_mut().unwrap() {
                founder["id"].take();
            }
            object["data"] = genesis;
        }
        "PartitionGroup" | "Primitive" => object["status"] = plain_status(object["status"].take()),
        _ => drop(object["status"].take()),
    }
    object
}

fn plain_status(mut status: Value) -> Value {
    status["caPem"].take();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"].take();
    }
    for partition in status["partitions"].as_array_mut().into_iter().flatten().filter(|it| it.is_object()) {
        partition["bootstrappedAt"] = json!(partition["bootstrappedAt"].is_string());
        // Who leads, and how often that has changed, is up to the members.
        partition["leader"] = json!(partition["leader"].is_string());
        partition["term"].take();
        for member in partition["members"].as_array_mut().into_iter().flatten() {
            for which in ["id", "role", "endpoint"] {
                member[which].take();
            }
        }
    }
    status
}

/// What a test writes to have an operator look.
pub(super) const TOUCHED: &str = "touched";

/// What differs, for people.
pub(super) fn difference(expected: &Snapshot, found: &Snapshot) -> String {
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let differs = names.filter(|name| expected.get(*name) != found.get(*name));
    let describe =
        |name: &String| format!("{name}: expected {:?}\nfound {:?}\n", expected.get(name), found.get(name));
    differs.map(describe).collect()
}
