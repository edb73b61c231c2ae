//! Each rule of the kinds, with the cases that it accepts and rejects: the API server says what the offline check says.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;

#[derive(Deserialize)]
struct Rule {
    accepts: Vec<Case>,
    rejects: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: Option<String>,
    spec: Value,
    old: Option<Value>,
    message: Option<String>,
    /// Why no API server can be asked.
    offline: Option<String>,
}

fn manifest(kind: &str, case: &Case, spec: &Value) -> Value {
    let name = case.name.as_deref().unwrap_or("sample");
    json!({"apiVersion": "synod.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// What the API server says to new objects: what it takes, and what it says of the others.
fn create(plane: &ControlPlane, kind: &str, cases: &[&Case]) -> (String, String) {
    let manifests: Vec<_> = cases.iter().map(|case| manifest(kind, case, &case.spec)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests}).to_string();
    let output = plane
        .run(&["create", "--dry-run=server", "--validate=false", "--output=name", "-f", "-"], Some(&list));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What the API server says to a change: nothing if it takes it.
fn change(plane: &ControlPlane, kind: &str, case: &Case, old: &Value) -> String {
    plane.apply(&manifest(kind, case, old).to_string());
    let new = manifest(kind, case, &case.spec).to_string();
    let output = plane.run(&["replace", "--dry-run=server", "-f", "-"], Some(&new));
    plane.kubectl(&["delete", kind, "--all"]);
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
}

fn of_new<'a>(cases: &[&'a Case]) -> Vec<&'a Case> {
    cases.iter().copied().filter(|case| case.old.is_none()).collect()
}

fn check(plane: &ControlPlane, kind: &str, table: &str) {
    let rules: Vec<Rule> = serde_yaml::from_str(table).unwrap();
    let online = |case: &&Case| case.offline.is_none();
    let accepts: Vec<_> = rules.iter().flat_map(|rule| &rule.accepts).filter(online).collect();
    let rejects: Vec<_> = rules.iter().flat_map(|rule| &rule.rejects).filter(online).collect();
    let (accepted, rejected) = (of_new(&accepts), of_new(&rejects));
    assert!(!accepted.is_empty() && !rejected.is_empty());

    let (taken, refused) = create(plane, kind, &accepted);
    assert_eq!((taken.lines().count(), refused.as_str()), (accepted.len(), ""), "{kind}: all are accepted");
    let (taken, refused) = create(plane, kind, &rejected);
    assert_eq!(taken, "", "{kind}: none is accepted");
    for case in rejected {
        let message = case.message.as_deref().unwrap();
        assert!(refused.contains(message), "{kind}: {}: nobody says: {message}\n{refused}", case.spec);
    }
    for case in accepts {
        let Some(old) = &case.old else { continue };
        assert_eq!(change(plane, kind, case, old), "", "{kind}: {old} to {}", case.spec);
    }
    for case in rejects {
        let (Some(old), Some(message)) = (&case.old, &case.message) else { continue };
        let said = change(plane, kind, case, old);
        assert!(said.contains(message), "{kind}: {old} to {}: {said:?} does not say: {message}", case.spec);
    }
}

#[test]
fn the_api_server_accepts_and_rejects_by_every_rule() {
    let plane = ControlPlane::start();
    check(&plane, "PartitionGroup", include_str!("../../src/api/testdata/partition_group_rules.yaml"));
    check(&plane, "Primitive", include_str!("../../src/api/testdata/primitive_rules.yaml"));
}
