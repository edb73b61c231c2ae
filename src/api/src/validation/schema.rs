//! A kind's schema in the form in which it is checked: only what our kinds use, each keyword understood.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde_json::Value;

use crate::crd;

/// What a value must look like.
#[derive(Debug)]
pub(crate) enum Node {
    /// Fields with names that the schema knows.
    Object { fields: BTreeMap<String, Node>, required: Vec<String> },
    /// Entries with names that the user chooses.
    Map { values: Box<Node>, entries_max: Option<usize> },
    /// Items in an order.
    List { items: Box<Node>, items_max: Option<usize>, unique: Unique },
    /// Text; one of `allowed` unless that is empty. Lengths in characters.
    Text { allowed: Vec<String>, length_min: usize, length_max: Option<usize> },
    /// A whole number.
    Integer { min: Option<i64>, max: Option<i64> },
    /// `true` or `false`.
    Boolean,
    /// A whole number or text.
    IntegerOrText,
    /// Anything.
    Any,
}

/// Which items of a list may not be alike.
#[derive(Debug)]
pub(crate) enum Unique {
    /// None matter.
    No,
    /// Equal items.
    Items,
    /// Items that agree in these fields.
    By(Vec<String>),
}

/// The schema of a whole object: that of the kind, and what every object of Kubernetes has.
pub(crate) fn object_of(schema: &JSONSchemaProps) -> Result<Node, String> {
    let Node::Object { mut fields, mut required } = compile(schema, "")? else {
        return Err("the schema of a kind must be an object".to_owned());
    };
    let text = || Node::Text { allowed: Vec::new(), length_min: 0, length_max: None };
    fields.insert("apiVersion".to_owned(), text());
    fields.insert("kind".to_owned(), text());
    fields.insert("metadata".to_owned(), metadata()?);
    required.push("metadata".to_owned());
    Ok(Node::Object { fields, required })
}

/// The schema of `metadata`, which a definition does not spell out.
fn metadata() -> Result<Node, String> {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    let mut schema: JSONSchemaProps = serde_json::to_value(generator.into_root_schema_for::<ObjectMeta>())
        .and_then(serde_json::from_value)
        .map_err(|error| error.to_string())?;
    crd::conform(&mut schema);
    let Node::Object { mut fields, mut required } = compile(&schema, "metadata")? else {
        return Err("the schema of metadata must be an object".to_owned());
    };
    fields.insert("managedFields".to_owned(), Node::Any);
    required.push("name".to_owned());
    Ok(Node::Object { fields, required })
}

fn compile(schema: &JSONSchemaProps, path: &str) -> Result<Node, String> {
    refuse_unknown_keywords(schema, path)?;
    if schema.x_kubernetes_int_or_string == Some(true) {
        return Ok(Node::IntegerOrText);
    }
    match schema.type_.as_deref() {
        Some("object") => object(schema, path),
        Some("array") => list(schema, path),
        Some("string") => Ok(Node::Text {
            allowed: allowed(schema),
            length_min: size(schema.min_length).unwrap_or(0),
            length_max: size(schema.max_length),
        }),
        Some("integer") => {
            Ok(Node::Integer { min: schema.minimum.map(whole), max: schema.maximum.map(whole) })
        }
        Some("boolean") => Ok(Node::Boolean),
        other => Err(format!("schema of {path}: type {other:?} is not supported")),
    }
}

fn object(schema: &JSONSchemaProps, path: &str) -> Result<Node, String> {
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return Ok(Node::Map {
            values: Box::new(compile(values, path)?),
            entries_max: size(schema.max_properties),
        });
    }
    let mut fields = BTreeMap::new();
    for (name, field) in schema.properties.iter().flatten() {
        fields.insert(name.clone(), compile(field, &format!("{path}.{name}"))?);
    }
    Ok(Node::Object { fields, required: schema.required.clone().unwrap_or_default() })
}

fn list(schema: &JSONSchemaProps, path: &str) -> Result<Node, String> {
    let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items else {
        return Err(format!("schema of {path}: a list must say what its items are"));
    };
    let unique = match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => Unique::Items,
        Some("map") => Unique::By(schema.x_kubernetes_list_map_keys.clone().unwrap_or_default()),
        _ => Unique::No,
    };
    Ok(Node::List { items: Box::new(compile(items, path)?), items_max: size(schema.max_items), unique })
}

fn allowed(schema: &JSONSchemaProps) -> Vec<String> {
    let values = schema.enum_.iter().flatten();
    values.filter_map(|value| value.0.as_str()).map(str::to_owned).collect()
}

fn size(bound: Option<i64>) -> Option<usize> {
    bound.and_then(|bound| usize::try_from(bound).ok())
}

/// The bounds of our schemas are whole numbers, which JSON schema writes as floats.
#[expect(clippy::cast_possible_truncation, reason = "a bound beyond 64 bits is no bound for a 64-bit number")]
fn whole(bound: f64) -> i64 {
    bound as i64
}

/// Fails for every keyword that restricts values and is not understood here.
fn refuse_unknown_keywords(schema: &JSONSchemaProps, path: &str) -> Result<(), String> {
    let combines =
        schema.all_of.is_some() || schema.any_of.is_some() || schema.one_of.is_some() || schema.not.is_some();
    let unknown = [
        ("allOf, anyOf, oneOf or not", combines),
        ("pattern", schema.pattern.is_some() || schema.pattern_properties.is_some()),
        ("multipleOf", schema.multiple_of.is_some()),
        (
            "an exclusive bound",
            schema.exclusive_minimum == Some(true) || schema.exclusive_maximum == Some(true),
        ),
        ("minItems or minProperties", schema.min_items.is_some() || schema.min_properties.is_some()),
        ("uniqueItems", schema.unique_items == Some(true)),
        ("an enum of something else than strings", enum_of_others(schema)),
        ("nullable", schema.nullable == Some(true)),
        ("x-kubernetes-preserve-unknown-fields", schema.x_kubernetes_preserve_unknown_fields == Some(true)),
        ("fields beside entries", schema.properties.is_some() && schema.additional_properties.is_some()),
    ];
    match unknown.into_iter().find(|(_, used)| *used) {
        Some((keyword, _)) => Err(format!("schema of {path}: {keyword} is not supported")),
        None => Ok(()),
    }
}

fn enum_of_others(schema: &JSONSchemaProps) -> bool {
    schema.enum_.iter().flatten().any(|value| !matches!(value.0, Value::String(_)))
}
