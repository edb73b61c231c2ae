//! What is wrong with an object, and where.

use std::fmt;

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, or whatever else the text came from.
    pub source: String,
    /// The document within the file: 1, 2, 3…, counting those that are not empty. `None`: the file as a whole.
    pub document: Option<usize>,
    /// The line within the file: 1, 2, 3…
    pub line: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        match self.line {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

/// One thing that is wrong with an object: which field, which value, what is allowed.
///
/// Displayed on one line: `location: path: message`, without what is unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The document that holds the object, if it came from a file.
    pub location: Option<Location>,
    /// The field, as in `spec.pod.tolerations[0].key`; empty for the object itself.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem of an object that came from no file.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { location: None, path: path.into(), message: message.into() }
    }

    /// The same problem, found in a file.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
