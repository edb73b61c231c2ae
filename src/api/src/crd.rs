//! The custom resource definitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{PartitionGroup, Primitive};

/// The definitions of all kinds, in alphabetical order.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![definition::<PartitionGroup>(), definition::<Primitive>()]
}

/// The definition of one kind, with a schema as Kubernetes means it.
pub(crate) fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            conform(schema);
        }
    }
    crd
}

/// Removes what the derives say and Kubernetes does not: formats that it does not know (it warns of each), `null` for
/// what may be left out (it takes `null` as left out, unless the schema calls it a value), and the line breaks of the
/// source in descriptions (`kubectl explain` breaks lines by itself).
pub(crate) fn conform(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| unwrapped(&text));
    if schema.format.as_deref().is_some_and(|format| !KNOWN_FORMATS.contains(&format)) {
        schema.format = None;
    }
    for_each_child(schema, &mut conform);
}

/// Joins the lines of each paragraph.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n");
    let joined: Vec<_> = paragraphs.map(|paragraph| paragraph.replace('\n', " ")).collect();
    joined.join("\n\n")
}

/// The formats of numbers and strings that our kinds use and Kubernetes knows.
const KNOWN_FORMATS: [&str; 4] = ["int32", "int64", "double", "date-time"];

fn for_each_child(schema: &mut JSONSchemaProps, visit: &mut dyn FnMut(&mut JSONSchemaProps)) {
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        visit(property);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        visit(values);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => visit(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(visit),
        None => {}
    }
}
