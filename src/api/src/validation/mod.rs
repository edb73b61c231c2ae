//! Checking objects against the schema of their kind, as the API server would, where there is none.
//!
//! In this order, which is that of the API server: `null` for what may be left out is dropped; the structure is
//! checked (unknown fields, types, what is required, bounds); defaults are filled in; the CEL rules are evaluated,
//! unless the structure is so wrong that they would only repeat it.
//!
//! Invariants:
//! - There is one source: the schema that [`crate::crds`] installs. No rule is written twice.
//! - It fails closed: a schema that uses a keyword which this module does not know refuses every object, and a test
//!   notices.
//! - Time and memory are bounded by the object's size; at most [`PROBLEMS_MAX`] problems are reported.

mod cel;
mod metadata;
mod path;
mod schema;
mod structure;
mod suggest;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema};
use kube::{CustomResourceExt, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use path::{Path, Step};
use schema::Node;
use structure::Walk;
pub(crate) use structure::described;
pub(crate) use suggest::{nearest, one_of, quoted};

use crate::{PartitionGroup, Primitive, Problem, crd};

/// The most problems that are reported of one object.
pub(crate) const PROBLEMS_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: Path,
    pub(crate) message: String,
}

impl From<Finding> for Problem {
    fn from(finding: Finding) -> Self {
        Self::new(finding.path.to_string(), finding.message)
    }
}

/// What is known of a kind: its schema in the forms that the steps need.
pub(crate) struct Rules {
    node: Node,
    json: Value,
    cel: CompiledSchema,
}

/// A kind that can be checked.
pub(crate) trait Kind:
    CustomResourceExt + Resource<DynamicType = ()> + Serialize + DeserializeOwned
{
    /// The rules of this kind, compiled once per process; or why its schema cannot be used.
    fn rules() -> &'static Result<Rules, String>;
}

macro_rules! kinds {
    ($($kind:ident),*) => {$(
        impl Kind for $kind {
            fn rules() -> &'static Result<Rules, String> {
                static RULES: OnceLock<Result<Rules, String>> = OnceLock::new();
                RULES.get_or_init(Rules::of::<Self>)
            }
        }

        impl $kind {
            /// What is wrong with this object, by the same rules by which the API server would refuse it, in the
            /// order of the fields. Empty if it is valid.
            pub fn validate(&self) -> Vec<Problem> {
                validate(self, None)
            }

            /// As [`Self::validate`], and also what may not change from `old` to this.
            pub fn validate_update(&self, old: &Self) -> Vec<Problem> {
                validate(self, Some(old))
            }
        }
    )*};
}
kinds!(PartitionGroup, Primitive);

impl Rules {
    fn of<K: Kind>() -> Result<Self, String> {
        let crd = crd::definition::<K>();
        let schema = crd
            .spec
            .versions
            .into_iter()
            .find_map(|version| version.schema.and_then(|schema| schema.open_api_v3_schema))
            .ok_or_else(|| format!("kind {} has no schema", K::kind(&())))?;
        let json = serde_json::to_value(&schema).map_err(|error| error.to_string())?;
        Ok(Self { node: schema::object_of(&schema)?, cel: compile_schema(&json), json })
    }

    /// The object with `null` dropped and defaults filled in, or all that is wrong with it.
    pub(crate) fn check(&self, mut object: Value, old: Option<&Value>) -> Result<Value, Vec<Finding>> {
        structure::drop_nulls(&self.node, &mut object);
        let mut walk = Walk::default();
        walk.check(&self.node, &object);
        metadata::check(&object, &mut walk);
        let (mut findings, blocked) = walk.finish();
        let object = apply_defaults(&self.json, &object);
        if !blocked {
            let known: BTreeSet<_> = findings.iter().map(|finding| finding.path.clone()).collect();
            let mut broken = cel::evaluate(&self.cel, &object, old, known.is_empty());
            broken.retain(|finding| !known.contains(&finding.path));
            findings.append(&mut broken);
        }
        if findings.is_empty() {
            return Ok(object);
        }
        findings.sort();
        findings.truncate(PROBLEMS_MAX);
        Err(findings)
    }
}

fn validate<K: Kind>(object: &K, old: Option<&K>) -> Vec<Problem> {
    let checked = K::rules().as_ref().map_err(Clone::clone).and_then(|rules| {
        let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
        let old = old.map(serde_json::to_value).transpose().map_err(|error| error.to_string())?;
        Ok(rules.check(object, old.as_ref()))
    });
    match checked {
        Ok(Ok(_)) => Vec::new(),
        Ok(Err(findings)) => findings.into_iter().map(Problem::from).collect(),
        Err(fault) => vec![Problem::new("", fault)],
    }
}
