//! The structure of an object: unknown fields, types, what is required, bounds.

use serde_json::Value;

use super::schema::{Node, Unique};
use super::{Finding, PROBLEMS_MAX, Path, Step, nearest, one_of, quoted};

/// The most field names that a message lists.
const NAMES_SHOWN_MAX: usize = 20;

/// Removes every `null`: Kubernetes takes it as left out, and so fills in the default or misses what is required.
pub(crate) fn drop_nulls(node: &Node, value: &mut Value) {
    match (node, value) {
        (Node::Object { fields, .. }, Value::Object(object)) => {
            object.retain(|name, value| !(value.is_null() && fields.contains_key(name)));
            for (name, value) in object {
                if let Some(field) = fields.get(name) {
                    drop_nulls(field, value);
                }
            }
        }
        (Node::Map { values, .. }, Value::Object(object)) => {
            object.values_mut().for_each(|value| drop_nulls(values, value));
        }
        (Node::List { items, .. }, Value::Array(array)) => {
            array.iter_mut().for_each(|item| drop_nulls(items, item));
        }
        _ => {}
    }
}

/// A walk through an object that collects what is wrong.
#[derive(Default)]
pub(crate) struct Walk {
    path: Path,
    findings: Vec<Finding>,
    blocked: bool,
}

impl Walk {
    /// What was found, and whether it makes the rules of the kind meaningless: a value has the wrong type or is
    /// missing, a text or list is longer than the rules expect.
    pub(crate) fn finish(self) -> (Vec<Finding>, bool) {
        (self.findings, self.blocked)
    }

    /// Checks a value and everything in it.
    pub(crate) fn check(&mut self, node: &Node, value: &Value) {
        if self.findings.len() > PROBLEMS_MAX {
            return;
        }
        match (node, value) {
            (Node::Object { fields, required }, Value::Object(object)) => {
                self.object(fields, required, object)
            }
            (Node::Map { values, entries_max }, Value::Object(object)) => {
                self.count(object.len(), *entries_max, "entries");
                for (name, value) in object {
                    self.within(Step::Key(name.clone()), |walk| walk.check(values, value));
                }
            }
            (Node::List { items, items_max, unique }, Value::Array(array)) => {
                self.count(array.len(), *items_max, "items");
                for (index, item) in array.iter().enumerate() {
                    self.within(Step::Index(index), |walk| walk.check(items, item));
                }
                self.unique(unique, array);
            }
            (Node::Text { allowed, length_min, length_max }, Value::String(text)) => {
                self.text(allowed, *length_min, *length_max, text);
            }
            (Node::Integer { min, max }, Value::Number(number)) => match number.as_i64() {
                Some(number) => self.integer(*min, *max, number),
                None => self.wrong_type(node, value),
            },
            (Node::IntegerOrText, Value::Number(number)) if number.is_i64() => {}
            (Node::IntegerOrText, Value::String(_)) | (Node::Boolean, Value::Bool(_)) | (Node::Any, _) => {}
            _ => self.wrong_type(node, value),
        }
    }

    fn object(
        &mut self,
        fields: &std::collections::BTreeMap<String, Node>,
        required: &[String],
        object: &serde_json::Map<String, Value>,
    ) {
        for name in required.iter().filter(|name| !object.contains_key(*name)) {
            self.blocked = true;
            self.at(Step::Key(name.clone()), "required, but missing");
        }
        for (name, value) in object {
            match fields.get(name) {
                Some(field) => self.within(Step::Key(name.clone()), |walk| walk.check(field, value)),
                None => {
                    let known = fields.keys().map(String::as_str);
                    let hint = match nearest(name, known.clone()) {
                        Some(meant) => format!("unknown field, did you mean `{meant}`?"),
                        None if fields.is_empty() => "unknown field: there are none here".to_owned(),
                        None if fields.len() > NAMES_SHOWN_MAX => "unknown field".to_owned(),
                        None => format!("unknown field: use {}", one_of(known)),
                    };
                    self.at(Step::Key(name.clone()), hint);
                }
            }
        }
    }

    fn unique(&mut self, unique: &Unique, array: &[Value]) {
        let mut seen = std::collections::BTreeMap::new();
        for (index, item) in array.iter().enumerate() {
            let identity = match unique {
                Unique::No => return,
                Unique::Items => item.to_string(),
                Unique::By(keys) => {
                    let parts =
                        keys.iter().map(|key| item.get(key).map(Value::to_string).unwrap_or_default());
                    parts.collect::<Vec<_>>().join(" ")
                }
            };
            if let Some(first) = seen.insert(identity.clone(), index) {
                self.at(Step::Index(index), format!("the same as item {first}: remove one of them"));
            }
        }
    }

    fn text(&mut self, allowed: &[String], length_min: usize, length_max: Option<usize>, text: &str) {
        let length = text.chars().count();
        let too_long = length_max.is_some_and(|max| length > max);
        if !allowed.is_empty() && !allowed.iter().any(|word| word == text) {
            self.blocked = true;
            self.here(format!(
                "{} is not allowed: use {}",
                quoted(text),
                one_of(allowed.iter().map(String::as_str))
            ));
        } else if too_long || length < length_min {
            self.blocked |= too_long;
            self.here(format!("it has {length} characters: use {}", range(Some(length_min), length_max)));
        }
    }

    fn integer(&mut self, min: Option<i64>, max: Option<i64>, number: i64) {
        if min.is_some_and(|min| number < min) {
            self.here(format!("{number} is too small: use {}", range(min, max)));
        } else if max.is_some_and(|max| number > max) {
            self.here(format!("{number} is too large: use {}", range(min, max)));
        }
    }

    fn count(&mut self, count: usize, max: Option<usize>, what: &str) {
        if let Some(max) = max.filter(|max| count > *max) {
            self.blocked = true;
            self.here(format!("it has {count} {what}: use at most {max}"));
        }
    }

    fn wrong_type(&mut self, node: &Node, value: &Value) {
        self.blocked = true;
        let expected = match node {
            Node::Object { .. } | Node::Map { .. } => "a mapping",
            Node::List { .. } => "a list",
            Node::Text { .. } => "a string",
            Node::Integer { .. } => "an integer",
            Node::Boolean => "true or false",
            Node::IntegerOrText => "an integer or a string",
            Node::Any => "anything",
        };
        self.here(format!("invalid type: {}, expected {expected}", described(value)));
    }

    /// Reports a problem with the field one step down.
    pub(crate) fn at(&mut self, step: Step, message: impl Into<String>) {
        self.within(step, |walk| walk.here(message));
    }

    /// Does something one step down.
    pub(crate) fn within(&mut self, step: Step, act: impl FnOnce(&mut Self)) {
        self.path.0.push(step);
        act(self);
        self.path.0.pop();
    }

    fn here(&mut self, message: impl Into<String>) {
        self.findings.push(Finding { path: self.path.clone(), message: message.into() });
    }
}

/// What a value is, in a few words.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("boolean {flag}"),
        Value::Number(number) => format!("number {number}"),
        Value::String(text) => format!("string {}", quoted(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn range<T: std::fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}
