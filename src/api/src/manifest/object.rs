//! From a document to an object of one of our kinds.

use std::fmt;

use serde_json::Value;

use super::document::Document;
use super::{locate, parse};
use crate::validation::{Finding, Kind, Path, Step, described, nearest, one_of, quoted};
use crate::{API_VERSION, PartitionGroup, Primitive, Problem};

/// An object of one of the kinds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Object {
    /// A group of partitions.
    PartitionGroup(Box<PartitionGroup>),
    /// A primitive of a group.
    Primitive(Box<Primitive>),
}

/// Makes a value an object of one kind.
type Reader = fn(Value) -> Result<Object, Vec<Finding>>;

/// The kinds, as manifests spell them.
const KINDS: [(&str, Reader); 2] = [
    ("PartitionGroup", |value| convert(value).map(Box::new).map(Object::PartitionGroup)),
    ("Primitive", |value| convert(value).map(Box::new).map(Object::Primitive)),
];

impl Object {
    /// The kind, as manifests spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PartitionGroup(_) => "PartitionGroup",
            Self::Primitive(_) => "Primitive",
        }
    }

    /// The namespace; `default` if the manifest names none.
    pub fn namespace(&self) -> &str {
        let namespace = match self {
            Self::PartitionGroup(group) => &group.metadata.namespace,
            Self::Primitive(primitive) => &primitive.metadata.namespace,
        };
        namespace.as_deref().unwrap_or(synod_types::DEFAULT_NAMESPACE)
    }

    /// The name.
    pub fn name(&self) -> &str {
        let name = match self {
            Self::PartitionGroup(group) => &group.metadata.name,
            Self::Primitive(primitive) => &primitive.metadata.name,
        };
        name.as_deref().unwrap_or_default()
    }

    /// What no two objects share.
    pub(super) fn identity(&self) -> (&'static str, String, String) {
        (self.kind(), self.namespace().to_owned(), self.name().to_owned())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.namespace(), self.name())
    }
}

/// One thing that is wrong with a document, and the line of the file.
pub(super) struct Fault {
    pub(super) problem: Problem,
    pub(super) line: usize,
}

/// Reads a document; `None` if it holds nothing.
pub(super) fn read(document: &Document<'_>) -> Result<Option<Object>, Vec<Fault>> {
    let value = parse::parse(document).map_err(|malformed| {
        vec![Fault { problem: Problem::new("", malformed.message), line: malformed.line }]
    })?;
    if value.is_null() {
        return Ok(None);
    }
    let read = dispatch(&value).and_then(|reader| reader(value.clone()));
    read.map(Some).map_err(|findings| {
        let findings = findings.into_iter();
        let mut faults: Vec<_> = findings.map(|finding| located(document, &value, finding)).collect();
        faults.sort_by_key(|fault| fault.line);
        faults
    })
}

/// How to read a value that claims to be an object.
fn dispatch(value: &Value) -> Result<Reader, Vec<Finding>> {
    if !value.is_object() {
        let message = format!("{} is no object: write apiVersion, kind, metadata and spec", described(value));
        return Err(vec![Finding { path: Path::default(), message }]);
    }
    let mut findings = Vec::new();
    match value.get("apiVersion") {
        Some(Value::String(version)) if version == API_VERSION => {}
        other => findings.push(at("apiVersion", other, &format!("use {API_VERSION}"))),
    }
    let written = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    match KINDS.into_iter().find(|(kind, _)| *kind == written) {
        Some((_, reader)) if findings.is_empty() => return Ok(reader),
        Some(_) => {}
        None => {
            let kinds = KINDS.map(|(kind, _)| kind);
            let advice = match nearest(written, kinds.into_iter()) {
                Some(meant) => format!("did you mean {meant}? The kinds are {}", kinds.join(" and ")),
                None => format!("use {}", one_of(kinds)),
            };
            findings.push(at("kind", value.get("kind"), &advice));
        }
    }
    Err(findings)
}

/// A finding about a field that tells what the document is.
fn at(field: &str, found: Option<&Value>, advice: &str) -> Finding {
    let message = match found {
        None | Some(Value::Null) => format!("required, but missing: {advice}"),
        Some(Value::String(text)) => format!("unknown {field} {}: {advice}", quoted(text)),
        Some(other) => format!("invalid type: {}, expected a string: {advice}", described(other)),
    };
    Finding { path: Path(vec![Step::Key(field.to_owned())]), message }
}

/// Checks a value by the rules of its kind and makes it an object.
fn convert<K: Kind + StatusDropped>(value: Value) -> Result<K, Vec<Finding>> {
    let fault = |message: String| vec![Finding { path: Path::default(), message }];
    let rules = K::rules().as_ref().map_err(|message| fault(message.clone()))?;
    let checked = rules.check(value, None)?;
    let mut object: K = serde_path_to_error::deserialize(checked).map_err(|error| {
        vec![Finding { path: Path::parse(&error.path().to_string()), message: error.inner().to_string() }]
    })?;
    object.drop_status();
    Ok(object)
}

/// An object whose status a file cannot set.
trait StatusDropped {
    fn drop_status(&mut self);
}

impl StatusDropped for PartitionGroup {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

impl StatusDropped for Primitive {
    fn drop_status(&mut self) {
        self.status = None;
    }
}

fn located(document: &Document<'_>, value: &Value, finding: Finding) -> Fault {
    let line = locate::line_of(document.text, finding.path.existing_in(value)).unwrap_or(1);
    Fault { line: document.first_line + line.saturating_sub(1), problem: finding.into() }
}
