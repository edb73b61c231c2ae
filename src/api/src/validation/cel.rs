//! The CEL rules of a kind, evaluated on this side.

use kube::core::cel::{CompiledSchema, ErrorKind, Validator};
use serde_json::Value;

use super::{Finding, Path};

/// What the rules say about an object, and about the change to it from `old`. A rule that cannot be evaluated counts as
/// broken in an object that is `well_formed`; elsewhere it only follows from what is known to be wrong, as when
/// numbers beyond their bounds overflow.
pub(crate) fn evaluate(
    rules: &CompiledSchema,
    object: &Value,
    old: Option<&Value>,
    well_formed: bool,
) -> Vec<Finding> {
    let Err(errors) = Validator::new().validate_compiled(rules, object, old) else {
        return Vec::new();
    };
    let errors = errors.into_vec().into_iter();
    let errors = errors.filter(|error| well_formed || error.kind != ErrorKind::EvaluationError);
    errors.map(|error| Finding { path: Path::parse(&error.field_path), message: error.message }).collect()
}
