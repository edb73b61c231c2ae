//! Paths to fields.

use std::fmt;

use serde_json::Value;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into a field of an object, or an entry of a map.
    Key(String),
    /// Into an item of a list.
    Index(usize),
}

/// The way from an object to one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    /// Reads a path as CEL validation writes it: `spec.items[0].name`. Its keys hold neither dots nor brackets,
    /// because rules stand at fields, not at the entries of maps.
    pub(crate) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut pieces = part.split('[');
            steps.extend(pieces.next().filter(|key| !key.is_empty()).map(|key| Step::Key(key.to_owned())));
            steps
                .extend(pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok()).map(Step::Index));
        }
        Self(steps)
    }

    /// The longest beginning of this path that exists in a value.
    pub(crate) fn existing_in(&self, value: &Value) -> &[Step] {
        let mut value = value;
        for (depth, step) in self.0.iter().enumerate() {
            let child = match step {
                Step::Key(key) => value.get(key),
                Step::Index(index) => value.get(index),
            };
            match child {
                Some(child) => value = child,
                None => return self.0.get(..depth).unwrap_or_default(),
            }
        }
        &self.0
    }
}

impl fmt::Display for Path {
    /// Writes the path so that it can be read back by people: keys with dots or brackets in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain =
            |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !key.is_empty() && key.len() <= 64 && plain(key) => {
                    if depth > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                Step::Key(key) => write!(f, "[{}]", super::quoted(key))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_they_are_read() {
        for text in ["", "spec", "spec.replicas", "spec.env[12].name", "a[0][1]"] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
        let odd = Path(vec![Step::Key("labels".into()), Step::Key("a.b/c".into())]);
        assert_eq!(odd.to_string(), r#"labels["a.b/c"]"#);
    }
}
