//! Manifests: reading objects from YAML or JSON files as users write them.
//!
//! A file holds any number of documents, each an object of a kind of this crate. Reading checks everything that
//! `kubectl apply` would have checked, reports all that is wrong at once, each with its place, and fills in the
//! defaults.
//!
//! Invariants:
//! - Nothing is taken in part: either every document of every file is valid, or no object comes out.
//! - Time and memory are bounded whatever the bytes are ([`FILE_BYTES_MAX`], [`DOCUMENT_BYTES_MAX`], and a bound on
//!   what anchors expand to). No input panics.
//!
//! Stricter than `kubectl apply`: a key that is written twice, a YAML tag, `yes` and `no` for booleans, `3.0` for an
//! integer, two documents for one object, YAML's merge key `<<` and objects of other kinds are refused. More lenient:
//! what Kubernetes demands of label and annotation keys is not checked. `status` is dropped.

mod document;
mod error;
mod locate;
mod object;
mod parse;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use error::ManifestError;
pub use object::Object;

use crate::validation::PROBLEMS_MAX;
use crate::{Location, Problem};

/// The most bytes of a file.
pub const FILE_BYTES_MAX: usize = 4 * 1_048_576;

/// The most bytes of one document: `kubectl apply` keeps a copy of it in an annotation, which holds no more.
pub const DOCUMENT_BYTES_MAX: usize = 262_144;

/// One object, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Where the document begins.
    pub location: Location,
    /// What it says, with defaults filled in.
    pub object: Object,
}

/// Reads all objects of a text. `source` names it in messages.
///
/// # Errors
/// [`ManifestError`] with everything that is wrong, up to a bound.
pub fn read(source: &str, bytes: &[u8]) -> Result<Vec<Manifest>, ManifestError> {
    let mut reading = Reading::default();
    reading.text(source, bytes);
    reading.finish()
}

/// Reads all objects of some files, in their order.
///
/// # Errors
/// [`ManifestError`] with everything that is wrong in any of them, up to a bound; also when a file cannot be read.
pub fn read_files<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<Vec<Manifest>, ManifestError> {
    let mut reading = Reading::default();
    for path in paths {
        let path = path.as_ref();
        let source = path.display().to_string();
        match bytes_of(path) {
            Ok(bytes) => reading.text(&source, &bytes),
            Err(error) => reading.refuse(&source, format!("cannot be read: {error}")),
        }
    }
    reading.finish()
}

/// The bytes of a file, and at most one more than may be read.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    manifests: Vec<Manifest>,
    problems: Vec<Problem>,
    /// Where each object was first seen, by kind, namespace and name.
    seen: BTreeMap<(&'static str, String, String), Location>,
}

impl Reading {
    fn text(&mut self, source: &str, bytes: &[u8]) {
        if bytes.len() > FILE_BYTES_MAX {
            return self.refuse(
                source,
                format!("is larger than {FILE_BYTES_MAX} bytes: split it into several files"),
            );
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let offset = error.valid_up_to();
                return self.refuse(
                    source,
                    format!("is not text in UTF-8, from byte {offset} on: write YAML or JSON"),
                );
            }
        };
        for document in document::split(text) {
            if self.problems.len() >= PROBLEMS_MAX {
                return;
            }
            self.document(source, &document);
        }
    }

    fn document(&mut self, source: &str, document: &document::Document<'_>) {
        let location =
            |line| Location { source: source.to_owned(), document: Some(document.number), line: Some(line) };
        match object::read(document) {
            Ok(None) => {}
            Ok(Some(object)) => {
                let location = location(document.first_line);
                if let Some(first) = self.seen.insert(object.identity(), location.clone()) {
                    let message = format!("{object} is there already, at {first}: remove one of them");
                    self.problems.push(Problem::new("", message).at(location.clone()));
                }
                self.manifests.push(Manifest { location, object });
            }
            Err(faults) => {
                let faults = faults.into_iter();
                self.problems.extend(faults.map(|fault| fault.problem.at(location(fault.line))));
            }
        }
    }

    /// Reports a file that holds no documents at all.
    fn refuse(&mut self, source: &str, message: String) {
        self.problems.push(Problem::new("", message).at(Location {
            source: source.to_owned(),
            document: None,
            line: None,
        }));
    }

    fn finish(mut self) -> Result<Vec<Manifest>, ManifestError> {
        if self.problems.is_empty() {
            return Ok(self.manifests);
        }
        self.problems.truncate(PROBLEMS_MAX);
        Err(ManifestError::new(self.problems))
    }
}
