//! The event log of a run, for people who replay it, and for the proof that a seed says everything.

use std::fmt::{self, Write as _};

use synod_types::Monotonic;

/// Writes down what happens, if anybody wants to read it.
#[derive(Debug, Default)]
pub(super) struct Trace {
    text: Option<String>,
}

impl Trace {
    pub(super) fn new(wanted: bool) -> Self {
        Self { text: wanted.then(String::new) }
    }

    /// Adds a line. Costs nothing if nobody reads it.
    pub(super) fn line(&mut self, now: Monotonic, who: impl fmt::Display, what: fmt::Arguments<'_>) {
        if let Some(text) = &mut self.text {
            let micros = now.as_nanos() / 1_000;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>5}.{:06} {who:<8} {what}", micros / 1_000_000, micros % 1_000_000);
        }
    }

    pub(super) fn into_text(self) -> Option<String> {
        self.text
    }
}
