//! How the kinds write their CEL rules: a condition, and what to write instead.
//!
//! Messages insert values by `%s` and `%d`: that is the one way whose cost the API server can estimate, so a message
//! that glues `string(…)` together makes it refuse the whole definition.

use kube::core::{Message, Rule};

/// A rule that an object breaks unless `condition` holds.
pub(crate) fn rule(condition: impl Into<String>, message: &str) -> Rule {
    Rule::new(condition).message(message)
}

/// As [`rule`], with a message into which the values of CEL expressions are inserted, in their order.
pub(crate) fn rule_with(condition: impl Into<String>, message: &str, values: &[&str]) -> Rule {
    let message = format!("'{message}'.format([{}])", values.join(", "));
    Rule::new(condition).message(Message::Expression(message))
}
