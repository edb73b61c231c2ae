//! Names: of namespaces and groups (Kubernetes labels), of applications and of primitives.

use std::fmt;

use crate::{Error, ErrorCode};

/// The namespace of whoever names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The application of whoever names none.
pub const DEFAULT_APPLICATION: &str = "default";

/// The longest application or primitive name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Checks a name that Kubernetes must accept as a label (RFC 1123): namespaces and groups.
///
/// # Errors
/// [`ErrorCode::Invalid`], naming `what` and the rule.
pub fn check_label(what: &str, name: &str) -> Result<(), Error> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edges_fit = !name.starts_with('-') && !name.ends_with('-');
    if (1..=63).contains(&name.len()) && name.bytes().all(inner) && edges_fit {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Invalid,
        format!(
            "{what} \"{}\" is not a valid name: use 1 to 63 lower-case letters, digits and inner dashes",
            shortened(name)
        ),
    ))
}

/// The start of a text that may be huge or hold control characters, fit for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a name: 1 to 255 bytes of UTF-8 without control characters.
            ///
            /// # Errors
            /// [`ErrorCode::Invalid`], saying what is wrong and what is allowed.
            pub fn new(name: impl Into<String>) -> Result<Self, Error> {
                let name = name.into();
                let problem = match name.len() {
                    0 => "is empty",
                    bytes if bytes > MAX_NAME_BYTES => "is too long",
                    _ if name.chars().any(char::is_control) => "contains a control character",
                    _ => return Ok(Self(name)),
                };
                Err(Error::new(
                    ErrorCode::Invalid,
                    format!(
                        "{} \"{}\" {problem}: use 1 to {MAX_NAME_BYTES} bytes without control characters",
                        $what,
                        shortened(&name)
                    ),
                ))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The application that a primitive belongs to: programs that share it share the primitives.
    Application, "application"
}

name! {
    /// The name of a primitive, unique within its application whatever the kind.
    PrimitiveName, "primitive name"
}

impl Default for Application {
    fn default() -> Self {
        Self(DEFAULT_APPLICATION.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_kubernetes() {
        for good in ["a", "sample", "a-1", &"x".repeat(63)] {
            check_label("group", good).unwrap();
        }
        for bad in ["", "A", "-a", "a-", "a.b", "a b", &"x".repeat(64)] {
            let error = check_label("group", bad).unwrap_err();
            assert!(error.to_string().starts_with("group "), "{error}");
        }
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(PrimitiveName::new("users/éàü 1").is_ok());
        for bad in [String::new(), "a\0b".to_owned(), "a\nb".to_owned(), "x".repeat(256)] {
            let error = PrimitiveName::new(bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid);
            assert!(error.to_string().len() < 300, "an error repeats no giant name: {error}");
        }
    }
}
