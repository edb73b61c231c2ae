//! What verbs of several kinds take and answer.

use std::io::{IsTerminal as _, stdout};

use serde::Serialize;
use synod_client::Version;

use crate::exit::Failure;
use crate::output::{Encoding, Printing, Versioned};

/// How one value is shown.
#[derive(Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Show {
    #[command(flatten)]
    encoding: Encoding,
    /// Print the bytes as they are, without a line end after them, whatever the format.
    #[arg(long, conflicts_with = "base64")]
    raw: bool,
}

impl Show {
    /// Prints a value: alone for people, and exactly, unless a terminal might take it for more than text.
    pub(super) fn print(self, printing: Printing, found: &synod_client::Versioned) -> Result<(), Failure> {
        let mut printer = printing.printer();
        if self.raw {
            return printer.raw(&found.value);
        }
        let is_for_program = printing.is_for_people() && !self.encoding.base64 && !stdout().is_terminal();
        if is_for_program {
            return printer.raw(&[&found.value[..], b"\n"].concat());
        }
        printer.line_or(&self.encoding.versioned(found), &self.encoding.text(&found.value))
    }
}

/// What must be the case for a write.
#[derive(Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Condition {
    /// Only if the version is this one; else fail with exit code 4.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(super) if_version: Option<Version>,
}

fn version(text: &str) -> Result<Version, String> {
    let version = text.parse().ok().filter(|version| *version > 0);
    version.map(Version).ok_or_else(|| "use a version as it was printed: a number from 1 on".to_owned())
}

/// What a write has done.
#[derive(Serialize)]
pub(super) struct Done {
    version: u64,
    previous: Option<Versioned>,
}

impl Done {
    pub(super) fn new(written: &synod_client::Written) -> Self {
        let previous = written.previous.as_ref().map(|previous| Encoding::default().versioned(previous));
        Self { version: written.version.get(), previous }
    }

    pub(super) const fn created(version: Version) -> Self {
        Self { version: version.get(), previous: None }
    }
}

/// What a removal has done.
#[derive(Serialize)]
pub(super) struct Gone {
    removed: bool,
    previous: Option<Versioned>,
}

impl Gone {
    pub(super) fn new(previous: Option<&synod_client::Versioned>) -> Self {
        let previous = previous.map(|previous| Encoding::default().versioned(previous));
        Self { removed: previous.is_some(), previous }
    }
}

/// How many of something.
#[derive(Serialize)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// How many were removed.
#[derive(Serialize)]
pub(super) struct Cleared {
    pub(super) removed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_from_one_on() {
        assert_eq!(version("17"), Ok(Version(17)));
        for bad in ["0", "-1", "x", ""] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
