//! What a group needs and does not get: pods, claims, a storage class, rights. It is said what is missing, and when it is
//! there, the group goes on by itself.

use serde_json::{Value, json};

use crate::SMALL;
use crate::kubectl::{Namespace, condition, kubectl};
use crate::workload::under_load;

/// Objects that belong to no namespace, deleted at the end.
pub(crate) struct Passing(Vec<String>);

impl Passing {
    pub(crate) fn apply(namespace: &Namespace, objects: &[Value]) -> Self {
        let name = |object: &Value| {
            let of = |value: &Value| value.as_str().unwrap().to_lowercase();
            format!("{}/{}", of(&object["kind"]), of(&object["metadata"]["name"]))
        };
        let passing = Self(objects.iter().map(name).collect());
        for object in objects {
            namespace.apply(&object.to_string());
        }
        passing
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        for object in &self.0 {
            kubectl(&["delete", object, "--ignore-not-found", "--wait=false"]);
        }
    }
}

pub(crate) fn storage_class(name: &str, provisioner: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn of_class(class: &str) -> String {
    SMALL.replace("{whenDeleted: Retain}", &format!("{{storageClassName: {class}}}"))
}

#[test]
fn a_quota_is_named_and_what_it_kept_from_being_comes_when_it_is_raised() {
    for (name, limit, question, answer, said) in [
        ("pods", "pods=2", "Ready", "False", "exceeded quota: few, requested: pods=1"),
        (
            "claims",
            "persistentvolumeclaims=2",
            "Ready",
            "False",
            "exceeded quota: few, requested: persistentvolumeclaims=1",
        ),
        (
            "services",
            "count/services=1",
            "Degraded",
            "True",
            "exceeded quota: few, requested: count/services=1",
        ),
    ] {
        let namespace = Namespace::new(&format!("quota-{name}"));
        namespace.kubectl(&["create", "quota", "few", &format!("--hard={limit}")]);
        namespace.wait("resourcequota/few", 20, |quota| !quota["status"]["used"].is_null());
        namespace.apply(SMALL);
        namespace.wait_said("small", question, answer, said, 20);
        namespace.kubectl(&["delete", "quota", "few"]);
        let mended = namespace.wait_ready("small", 90);
        println!("{name}: mended after {:.1} s", mended.as_secs_f64());
        assert_eq!(condition(&namespace.get("partitiongroup/small"), "Degraded").0, "False");
    }
}

#[test]
fn a_storage_class_that_does_not_exist_is_named_and_used_when_it_does() {
    let namespace = Namespace::new("class");
    namespace.apply(&of_class("e2e-later"));
    namespace.wait_said("small", "Ready", "False", "storageclass.storage.k8s.io \"e2e-later\" not found", 20);
    let _class = Passing::apply(&namespace, &[storage_class("e2e-later", "cluster/local-storage")]);
    let mended = namespace.wait_ready("small", 120);
    println!("mended after {:.1} s", mended.as_secs_f64());
}

/// The rights of the operator, as they were at the end.
struct Rights(Value);

impl Rights {
    const ROLE: &str = "clusterrole/synod-operator-groups";

    fn without(namespace: &Namespace, resource: &str) -> Self {
        let role: Value = serde_json::from_str(&kubectl(&["get", Self::ROLE, "--output=json"])).unwrap();
        let of_others = |rule: &&Value| !rule["resources"].as_array().unwrap().contains(&json!(resource));
        let rules: Vec<_> = role["rules"].as_array().unwrap().iter().filter(of_others).cloned().collect();
        let read = json!({"apiGroups": [""], "resources": [resource], "verbs": ["get", "list", "watch"]});
        let rules = [rules, vec![read]].concat();
        namespace.patch(Self::ROLE, &json!({"rules": rules}));
        Self(role["rules"].clone())
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        kubectl(&["patch", Self::ROLE, "--type=merge", "--patch", &json!({"rules": self.0}).to_string()]);
    }
}

#[test]
fn a_right_that_the_operator_lacks_is_named_and_the_group_serves_on() {
    let namespace = Namespace::new("rights");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    under_load(&namespace, "taking a right from the operator", 30, || {
        let rights = Rights::without(&namespace, "services");
        namespace.kubectl(&["delete", "service", "small"]);
        let said = "cannot patch resource \"services\"";
        namespace.wait_said("small", "Degraded", "True", said, 20);
        assert_eq!(condition(&namespace.get("partitiongroup/small"), "Ready").0, "True");
        drop(rights);
    });
    namespace.wait("service/small", 90, |service| service["spec"]["ports"][0]["port"] == 5678);
    namespace.wait("partitiongroup/small", 30, |group| condition(group, "Degraded").0 == "False");
}

#[test]
fn volumes_that_may_not_grow_are_named_and_grow_when_they_may() {
    let namespace = Namespace::new("grow");
    let class = |may_grow: bool| {
        let mut class = storage_class("e2e-growing", "cluster/local-storage");
        class["allowVolumeExpansion"] = json!(may_grow);
        class
    };
    let _class = Passing::apply(&namespace, &[class(false)]);
    namespace.apply(&of_class("e2e-growing"));
    namespace.wait_ready("small", 60);
    namespace.patch("partitiongroup/small", &json!({"spec": {"storage": {"size": "20Gi"}}}));
    namespace.wait_said("small", "Degraded", "True", "must support resize", 20);
    assert_eq!(condition(&namespace.get("partitiongroup/small"), "Ready").0, "True", "it serves on");
    namespace.apply(&class(true).to_string());
    namespace.wait("persistentvolumeclaims", 90, |claims| {
        claims["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|claim| claim["spec"]["resources"]["requests"]["storage"] == "20Gi")
    });
    namespace.wait("partitiongroup/small", 30, |group| condition(group, "Degraded").0 == "False");
}
