//! From the text of a document to a value, within bounds.
//!
//! Anchors make YAML expand: a small text can mean a huge value, or one that contains itself. Every node is paid for
//! from a budget while the value is built, so what is too much is refused before it is allocated.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::DOCUMENT_BYTES_MAX;
use super::document::Document;
use crate::validation::quoted;

/// The most values and keys that a document may expand to.
const NODES_MAX: usize = 200_000;

/// The most bytes of text that a document may expand to.
const EXPANDED_BYTES_MAX: usize = 4 * DOCUMENT_BYTES_MAX;

const EXPANDS_TOO_MUCH: &str = "the document expands to too much: use fewer anchors and aliases";

/// What the parsers bear.
const TOO_DEEP: &str = "the document is nested too deeply: use at most 128 levels";

/// The most brackets that are open at a place. More than the parsers bear, because those within quotes count too.
const OPEN_BRACKETS_MAX: usize = 1_000;

/// The most lines that begin with `%`.
const DIRECTIVES_MAX: usize = 16;

/// Why a text is no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) message: String,
    /// The line of the file.
    pub(super) line: usize,
}

/// The value that a document means. It is JSON if it begins with a brace, as `kubectl` takes it, and YAML otherwise.
pub(super) fn parse(document: &Document<'_>) -> Result<Value, Malformed> {
    if let Some(message) = excess(document.text) {
        return Err(Malformed { message, line: document.first_line });
    }
    let budget = Budget::default();
    let parsed = deserialize(document.text, Tree(&budget));
    let lines_before = document.first_line.saturating_sub(1);
    parsed.map_err(|(message, line)| Malformed {
        message: budget.complaint.take().unwrap_or_else(|| explained(&message, lines_before)),
        line: lines_before + line.unwrap_or(1),
    })
}

/// What a document has too much of to be parsed: the YAML parser takes time that grows with the square of the open
/// brackets and of the directives.
fn excess(text: &str) -> Option<String> {
    let bytes = text.len();
    if bytes > DOCUMENT_BYTES_MAX {
        return Some(format!(
            "the document has {bytes} bytes: use at most {DOCUMENT_BYTES_MAX}, which is what `kubectl apply` takes"
        ));
    }
    if text.lines().filter(|line| line.starts_with('%')).count() > DIRECTIVES_MAX {
        return Some(format!("the document has more than {DIRECTIVES_MAX} YAML directives: remove them"));
    }
    let mut open = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > OPEN_BRACKETS_MAX {
            return Some(TOO_DEEP.to_owned());
        }
    }
    None
}

/// A parser's message as a user can act on it.
fn explained(message: &str, lines_before: usize) -> String {
    if message.contains("repetition limit exceeded") {
        EXPANDS_TOO_MUCH.to_owned()
    } else if message.contains("recursion limit exceeded") {
        TOO_DEEP.to_owned()
    } else {
        file_lines(message, lines_before)
    }
}

/// A parser's message with the lines of the file in place of those of the document.
fn file_lines(message: &str, lines_before: usize) -> String {
    let mut pieces = message.split("line ");
    let mut shifted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at_checked(digits).unwrap_or(("", piece));
        shifted.push_str("line ");
        match number.parse::<usize>() {
            Ok(line) => shifted.push_str(&(line + lines_before).to_string()),
            Err(_) => shifted.push_str(number),
        }
        shifted.push_str(rest);
    }
    shifted
}

/// Runs a seed over the text of a document; fails with the parser's message and its line.
pub(super) fn deserialize<'de, S>(text: &'de str, seed: S) -> Result<S::Value, (String, Option<usize>)>
where
    S: DeserializeSeed<'de>,
{
    if is_json(text) {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        return value.map_err(|error| (error.to_string(), Some(error.line())));
    }
    seed.deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| (error.to_string(), error.location().map(|location| location.line())))
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// What a document may still expand to.
struct Budget {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
    /// What is wrong, in our words: parsers decorate the messages that pass through them.
    complaint: RefCell<Option<String>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            nodes: Cell::new(NODES_MAX),
            bytes: Cell::new(EXPANDED_BYTES_MAX),
            complaint: RefCell::new(None),
        }
    }
}

impl Budget {
    fn complain<E: de::Error>(&self, message: impl Into<String>) -> E {
        let message = message.into();
        self.complaint.replace(Some(message.clone()));
        E::custom(message)
    }

    fn pay<E: de::Error>(&self, text: &str) -> Result<(), E> {
        let nodes = self.nodes.get().checked_sub(1);
        let bytes = self.bytes.get().checked_sub(text.len());
        let (Some(nodes), Some(bytes)) = (nodes, bytes) else {
            return Err(self.complain(EXPANDS_TOO_MUCH));
        };
        self.nodes.set(nodes);
        self.bytes.set(bytes);
        Ok(())
    }
}

/// Builds a value.
#[derive(Clone, Copy)]
struct Tree<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.0.pay("").map(|()| Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.0.pay("").map(|()| Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.0.pay("").map(|()| Value::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.0.pay("").map(|()| Value::from(value))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        Err(self.0.complain(format!("number {value} has too many digits")))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        Err(self.0.complain(format!("number {value} has too many digits")))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.0.pay("")?;
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| self.0.complain(format!("{value} is not a number")))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.pay(value).map(|()| Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.0.pay("")?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.0.pay("")?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key_seed(Key { budget: self.0, taken: &object })? {
            let value = entries.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.0.complain("YAML tags such as `!name` mean nothing here: remove the tag"))
    }
}

/// Reads a key that is not `taken`.
struct Key<'b, 'm> {
    budget: &'b Budget,
    taken: &'m Map<String, Value>,
}

impl Key<'_, '_> {
    fn take<E: de::Error>(self, key: &str) -> Result<String, E> {
        self.budget.pay(key)?;
        if self.taken.contains_key(key) {
            let message = format!("key {} is written twice: remove one of them", quoted(key));
            return Err(self.budget.complain(message));
        }
        Ok(key.to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a string")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        self.take(key)
    }

    fn visit_bool<E: de::Error>(self, key: bool) -> Result<String, E> {
        self.take(&key.to_string())
    }

    fn visit_i64<E: de::Error>(self, key: i64) -> Result<String, E> {
        self.take(&key.to_string())
    }

    fn visit_u64<E: de::Error>(self, key: u64) -> Result<String, E> {
        self.take(&key.to_string())
    }
}
