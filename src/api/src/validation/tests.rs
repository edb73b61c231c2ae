//! The rules of both kinds, from the tables under `testdata/`, and what is demanded of every schema.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::Validator;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

/// A rule with its cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    rule: String,
    accepts: Vec<Case>,
    rejects: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    spec: Value,
    old: Option<Value>,
    path: Option<String>,
    message: Option<String>,
    /// Other fields that the same spec has problems with.
    #[serde(default)]
    also: Vec<String>,
    /// Why no API server can be asked.
    #[serde(rename = "offline")]
    _offline: Option<String>,
}

fn rules_of<K: Kind>() -> &'static Rules {
    K::rules().as_ref().unwrap()
}

fn object<K: Kind>(name: Option<&str>, spec: &Value) -> Value {
    let kind = K::kind(&());
    json!({
        "apiVersion": "synod.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name.unwrap_or("sample"), "namespace": "default"},
        "spec": spec,
    })
}

fn problems<K: Kind>(case: &Case) -> Vec<(String, String)> {
    let new = object::<K>(case.name.as_deref(), &case.spec);
    let old = case.old.as_ref().map(|old| object::<K>(case.name.as_deref(), old));
    let findings = rules_of::<K>().check(new, old.as_ref()).err().unwrap_or_default();
    findings.into_iter().map(|finding| (finding.path.to_string(), finding.message)).collect()
}

fn accepts_and_rejects<K: Kind>(table: &str) {
    let rules: Vec<Rule> = serde_yaml::from_str(table).unwrap();
    for Rule { rule, accepts, rejects } in &rules {
        assert!(!accepts.is_empty() && !rejects.is_empty(), "{rule}: needs both kinds of case");
        for case in accepts {
            assert_eq!(problems::<K>(case), [], "{rule}: {}", case.spec);
        }
        for case in rejects {
            let found = problems::<K>(case);
            let (expected, others): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|(path, _)| Some(path) == case.path.as_ref());
            let expected: Vec<_> = expected.into_iter().map(|(_, message)| message).collect();
            let others: Vec<_> = others.into_iter().map(|(path, _)| path).collect();
            assert_eq!(expected, [case.message.clone().unwrap()], "{rule}: {}", case.spec);
            assert_eq!(others, case.also, "{rule}: {}", case.spec);
        }
    }
}

const PARTITION_GROUP_RULES: &str = include_str!("../../testdata/partition_group_rules.yaml");
const PRIMITIVE_RULES: &str = include_str!("../../testdata/primitive_rules.yaml");

#[test]
fn accepts_and_rejects_partition_groups_by_every_rule() {
    accepts_and_rejects::<PartitionGroup>(PARTITION_GROUP_RULES);
}

#[test]
fn accepts_and_rejects_primitives_by_every_rule() {
    accepts_and_rejects::<Primitive>(PRIMITIVE_RULES);
}

/// Calls `visit` with every schema below and including this one, and its path.
fn each_schema(schema: &JSONSchemaProps, path: &str, visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        each_schema(property, &format!("{path}.{name}"), visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        each_schema(values, &format!("{path}.*"), visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        each_schema(items, &format!("{path}[]"), visit);
    }
}

fn schema_of<K: Kind>() -> JSONSchemaProps {
    serde_json::from_value(rules_of::<K>().json.clone()).unwrap()
}

/// Every CEL rule of the schema is broken by some case of the table: a rule without a case is not tested.
fn every_cel_rule_has_a_case<K: Kind>(table: &str) {
    let mut rules = BTreeSet::new();
    each_schema(&schema_of::<K>(), "", &mut |path, schema| {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let place = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
            rules.insert((place.trim_start_matches('.').to_owned(), rule.rule.clone()));
            assert!(
                rule.message.is_some() || rule.message_expression.is_some(),
                "{path}: {} says nothing",
                rule.rule
            );
        }
    });
    let mut broken = BTreeSet::new();
    let table: Vec<Rule> = serde_yaml::from_str(table).unwrap();
    for case in table.iter().flat_map(|rule| &rule.rejects) {
        let new = object::<K>(case.name.as_deref(), &case.spec);
        let old = case.old.as_ref().map(|old| object::<K>(case.name.as_deref(), old));
        let errors =
            Validator::new().validate_compiled(&rules_of::<K>().cel, &new, old.as_ref()).unwrap_err();
        broken.extend(errors.into_iter().map(|error| {
            // Of a list, cases break the rules of the first item.
            let place = error.field_path.trim_start_matches('.').replace("[0]", "[]");
            (place, error.rule)
        }));
    }
    let untried: Vec<_> = rules.difference(&broken).collect();
    assert!(untried.is_empty(), "rules without a case that breaks them: {untried:#?}");
}

#[test]
fn every_rule_of_a_partition_group_has_a_case() {
    every_cel_rule_has_a_case::<PartitionGroup>(PARTITION_GROUP_RULES);
}

#[test]
fn every_rule_of_a_primitive_has_a_case() {
    every_cel_rule_has_a_case::<Primitive>(PRIMITIVE_RULES);
}

/// Fields whose schema is Kubernetes' own.
const BORROWED: [&str; 8] = [
    ".spec.pod.affinity",
    ".spec.pod.env[]",
    ".spec.pod.imagePullSecrets[]",
    ".spec.pod.resources",
    ".spec.pod.securityContext",
    ".spec.pod.tolerations[]",
    ".spec.pod.topologySpreadConstraints[]",
    ".status.conditions[]",
];

fn each_own_schema(visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    for schema in [schema_of::<PartitionGroup>(), schema_of::<Primitive>()] {
        each_schema(&schema, "", &mut |path, schema| {
            let borrowed =
                |prefix: &&str| path.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with('.'));
            if !BORROWED.iter().any(borrowed) {
                visit(path, schema);
            }
        });
    }
}

#[test]
fn every_field_is_documented() {
    each_own_schema(&mut |path, schema| {
        let description = schema.description.clone().unwrap_or_default();
        let is_value = path.ends_with("[]") || path.ends_with(".*");
        assert!(is_value || description.len() > 10, "{path} says only {description:?}");
        assert!(!description.contains('\n'), "{path}: kubectl breaks lines by itself");
    });
}

#[test]
fn everything_a_user_writes_is_bounded() {
    each_own_schema(&mut |path, schema| {
        let in_spec = path.starts_with(".spec.");
        match schema.type_.as_deref() {
            Some("array") => assert!(schema.max_items.is_some(), "{path} has no maxItems"),
            Some("integer") if in_spec => {
                assert!(schema.minimum.is_some() && schema.maximum.is_some(), "{path} has no bounds");
            }
            Some("string") if in_spec && !path.ends_with(".*") => {
                assert!(schema.enum_.is_some() || schema.max_length.is_some(), "{path} has no maxLength");
            }
            _ if schema.additional_properties.is_some() => {
                assert!(schema.max_properties.is_some(), "{path} has no maxProperties");
            }
            _ => {}
        }
    });
}

#[test]
fn formats_are_those_that_kubernetes_knows() {
    for kind in [schema_of::<PartitionGroup>(), schema_of::<Primitive>()] {
        each_schema(&kind, "", &mut |path, schema| {
            let format = schema.format.as_deref().unwrap_or("int64");
            assert!(["int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
        });
    }
}

#[test]
fn accepts_and_rejects_at_every_bound_of_a_number() {
    let mut bounds = 0;
    each_schema(&schema_of::<PartitionGroup>(), "", &mut |path, schema| {
        let (Some(min), Some(max)) = (schema.minimum, schema.maximum) else {
            return;
        };
        bounds += 1;
        let path = path.trim_start_matches('.');
        for (number, refused) in [(min - 1.0, true), (min, false), (max, false), (max + 1.0, true)] {
            let mut value = json!(number as i64);
            for name in path.split('.').rev() {
                value = match name.strip_suffix("[]") {
                    Some(list) => json!({ list: [value] }),
                    None => json!({ name: value }),
                };
            }
            let spec = value.pointer("/spec").unwrap();
            let object = object::<PartitionGroup>(None, spec);
            let findings = rules_of::<PartitionGroup>().check(object, None).err().unwrap_or_default();
            let allowed = format!("use {min} to {max}");
            let found = findings.iter().any(|finding| {
                finding.path.to_string().replace("[0]", "[]") == path && finding.message.ends_with(&allowed)
            });
            assert_eq!(found, refused, "{path} = {number}: {findings:?}");
        }
    });
    assert!(bounds > 10, "only {bounds} fields were tried");
}

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9.+-]{0,5}[a-zA-Z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{0,8}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    /// Whatever stands in a field, checking ends in acceptance or in problems.
    #[test]
    fn any_value_in_any_field_is_taken_or_refused(
        fields in proptest::collection::btree_map(
            prop_oneof![
                Just("partitions"), Just("replicas"), Just("protocol"), Just("durability"), Just("storage"),
                Just("limits"), Just("pod"), Just("updatePolicy"), Just("paused"), Just("name"), Just("kind"),
                Just("group"), Just("application"),
            ],
            any_json(),
            0..6,
        ),
        size in prop_oneof![any::<String>(), "[0-9eE.+ -]{0,12}[a-zA-Z]{0,2}", "[0-9]{1,15}[.][0-9]{1,3}[kKMGTPE]i?"],
    ) {
        let mut fields: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        fields.entry("storage").or_insert_with(|| json!({"size": size}));
        fields.entry("partitions").or_insert_with(|| json!(1));
        let spec = Value::from(fields);
        for checked in [
            rules_of::<PartitionGroup>().check(object::<PartitionGroup>(None, &spec), None),
            rules_of::<Primitive>().check(object::<Primitive>(None, &spec), None),
        ] {
            if let Err(findings) = checked {
                prop_assert!(!findings.is_empty());
            }
        }
    }
}
