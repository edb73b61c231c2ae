//! How bytes, text and durations are shown: never so that a terminal obeys what somebody stored.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::fmt::friendly::SpanPrinter;
use serde::Serialize;

/// How values are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub(crate) struct Encoding {
    /// Show values as base64. Those that are no text are shown so in any case in JSON and YAML.
    #[arg(long)]
    pub(crate) base64: bool,
}

impl Encoding {
    /// A value in a cell, or alone.
    pub(crate) fn text(self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            _ if self.base64 => STANDARD.encode(bytes),
            Ok(text) => printable(text),
            Err(_) => format!("b\"{}\"", bytes.escape_ascii()),
        }
    }

    /// A value as one word of a line.
    pub(crate) fn word(self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.base64 => quoted(text),
            _ => self.text(bytes),
        }
    }

    /// A value in a record.
    pub(crate) fn shown(self, bytes: &Bytes) -> Shown {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.base64 => Shown { value: Some(text.to_owned()), value_base64: None },
            _ => Shown { value: None, value_base64: Some(STANDARD.encode(bytes)) },
        }
    }

    /// A value with its version in a record.
    pub(crate) fn versioned(self, versioned: &synod_client::Versioned) -> Versioned {
        Versioned { value: self.shown(&versioned.value), version: versioned.version.get() }
    }
}

/// A value in a record: `value` if it is text, else `value_base64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// A value with its version in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Versioned {
    #[serde(flatten)]
    pub(crate) value: Shown,
    pub(crate) version: u64,
}

/// Text whose control characters are visible.
fn printable(text: &str) -> String {
    if !text.chars().any(is_control) {
        return text.to_owned();
    }
    let escaped = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// Beside control characters, those that turn the direction of what comes after them.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text as one word of a line: in quotes if it would not be one.
pub(crate) fn quoted(text: &str) -> String {
    let is_word =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || is_control(c));
    if is_word { text.to_owned() } else { format!("{text:?}") }
}

/// A duration for people.
pub(crate) fn duration(duration: Duration) -> String {
    SpanPrinter::new().unsigned_duration_to_string(&Duration::from_millis(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Encoding = Encoding { base64: false };
    const BASE64: Encoding = Encoding { base64: true };

    #[test]
    fn text_is_shown_as_it_is() {
        assert_eq!(TEXT.text("héllo wörld".as_bytes()), "héllo wörld");
        assert_eq!(quoted("alice/1"), "alice/1");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_is_shown() {
        let hostile = "\x1b[2Jgone\r\n\u{202e}txt";
        for shown in [TEXT.text(hostile.as_bytes()), quoted(hostile)] {
            assert!(!shown.contains(is_control), "{shown:?}");
        }
        assert_eq!(TEXT.text(b"\xff\x00"), r#"b"\xff\x00""#);
    }

    #[test]
    fn a_word_stays_one_word() {
        for text in ["", "two words", "tab\there", "a \"quote\""] {
            let shown = quoted(text);
            assert!(shown.starts_with('"') && shown.ends_with('"'), "{shown}");
        }
    }

    #[test]
    fn a_record_says_which_of_both_a_value_is() {
        let json = |encoding: Encoding, bytes: &'static [u8]| {
            serde_json::to_string(&encoding.shown(&Bytes::from_static(bytes))).unwrap()
        };
        assert_eq!(json(TEXT, b"1"), r#"{"value":"1"}"#);
        assert_eq!(json(TEXT, b""), r#"{"value":""}"#);
        assert_eq!(json(TEXT, b"\xff"), r#"{"value_base64":"/w=="}"#);
        assert_eq!(json(BASE64, b"1"), r#"{"value_base64":"MQ=="}"#);
    }

    #[test]
    fn durations_can_be_read() {
        assert_eq!(duration(Duration::from_millis(1_500)), "1s 500ms");
        assert_eq!(duration(Duration::ZERO), "0s");
    }
}
