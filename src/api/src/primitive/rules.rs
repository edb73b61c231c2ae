//! The CEL rules of a primitive. Each has its cases in `testdata/primitive_rules.yaml`.

use kube::core::Rule;

use super::spec::NAME_BYTES_MAX;
use crate::names::GROUP_NAME_PATTERN;
use crate::rule::{rule, rule_with};

pub(super) fn group_can_exist() -> Rule {
    rule_with(
        format!("self.matches('{GROUP_NAME_PATTERN}')"),
        "no PartitionGroup can be called \"%s\": use lower-case letters, digits and inner dashes, and begin with a \
         letter",
        &["self"],
    )
}

pub(super) fn group_stays() -> Rule {
    rule_with(
        "self == oldSelf",
        "a primitive cannot move to another group: leave it at %s, or create another Primitive",
        &["oldSelf"],
    )
}

pub(super) fn kind_stays() -> Rule {
    rule_with(
        "self == oldSelf",
        "a primitive cannot become another kind: leave it at %s, or create another Primitive",
        &["oldSelf"],
    )
}

pub(super) fn application_stays() -> Rule {
    rule_with(
        "self == oldSelf",
        "a primitive cannot move to another application: leave it at %s, or create another Primitive",
        &["oldSelf"],
    )
}

/// Compares the names in effect: giving the name that the object has anyway changes nothing.
pub(super) fn name_stays() -> Rule {
    let name =
        |object: &str| format!("(has({object}.spec.name) ? {object}.spec.name : {object}.metadata.name)");
    rule(
        format!("{} == {}", name("self"), name("oldSelf")),
        "the name of a primitive cannot be changed: leave `spec.name` as it was, or create another Primitive",
    )
    .field_path(".spec.name")
}

pub(super) fn fits_bytes() -> Rule {
    rule_with(
        format!("size(bytes(self)) <= {NAME_BYTES_MAX}"),
        &format!("it has %d bytes: use at most {NAME_BYTES_MAX}"),
        &["size(bytes(self))"],
    )
}

pub(super) fn is_printable() -> Rule {
    rule(r"self.matches(r'^\P{Cc}*$')", "it contains a control character: use printable ones")
}
