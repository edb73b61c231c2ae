//! What is said to the person at the terminal: news on standard output, problems on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Says something.
pub(super) fn say(text: impl Display) {
    // Whoever closed the terminal does not want to know.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says that something is wrong.
pub(super) fn warn(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
