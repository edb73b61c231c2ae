//! The names in `metadata`, which the API server checks for every kind.

use serde_json::Value;
use synod_types::check_label;

use super::structure::Walk;
use super::{Step, quoted};

/// The most characters of an object's name.
const NAME_MAX: usize = 253;

/// Reports what is wrong with the name and the namespace of an object.
pub(crate) fn check(object: &Value, walk: &mut Walk) {
    let text = |field| object.pointer(field).and_then(Value::as_str);
    let mut report = |field: &str, message: String| {
        walk.within(Step::Key("metadata".to_owned()), |walk| {
            walk.at(Step::Key(field.to_owned()), message);
        });
    };
    if let Some(name) = text("/metadata/name").filter(|name| !is_subdomain(name)) {
        report(
            "name",
            format!(
                "{} cannot name an object: use 1 to {NAME_MAX} lower-case letters, digits, inner dashes and inner dots",
                quoted(name)
            ),
        );
    }
    if let Some(namespace) = text("/metadata/namespace")
        && let Err(error) = check_label("namespace", namespace)
    {
        report("namespace", error.to_string());
    }
}

/// Whether a text is a DNS subdomain (RFC 1123), which the name of every object is.
fn is_subdomain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= NAME_MAX && name.split('.').all(is_part)
}
