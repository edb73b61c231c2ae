//! The kinds of primitive.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorCode};

/// A kind of primitive. The discriminants and names are persisted and on the wire: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PrimitiveKind {
    /// A 64-bit signed number.
    Counter = 1,
    /// One versioned byte string.
    Value = 2,
    /// Byte strings under string keys, spread over all partitions by key.
    Map = 3,
    /// Strings, spread over all partitions by element.
    Set = 4,
    /// A fenced read-write lock.
    Lock = 5,
    /// A leader election.
    Election = 6,
}

impl PrimitiveKind {
    /// Every kind, in the order of the discriminants.
    pub const ALL: [Self; 6] = [Self::Counter, Self::Value, Self::Map, Self::Set, Self::Lock, Self::Election];

    /// The lower-case name, as in URLs, the CLI and hashes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Value => "value",
            Self::Map => "map",
            Self::Set => "set",
            Self::Lock => "lock",
            Self::Election => "election",
        }
    }

    /// The kind with this discriminant, if there is one.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The discriminant.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether the items of one primitive are spread over all partitions by their key. The others live whole
    /// on the partition of their name.
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::Map | Self::Set)
    }
}

impl fmt::Display for PrimitiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PrimitiveKind {
    type Err = Error;

    /// Reads the lower-case name.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for any other string, with the names that are allowed.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorCode::Invalid, format!("unknown primitive kind \"{text}\": use one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for kind in PrimitiveKind::ALL {
            assert_eq!(kind.as_str().parse::<PrimitiveKind>().unwrap(), kind);
            assert_eq!(PrimitiveKind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(PrimitiveKind::from_number(0), None);
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        let error = "table".parse::<PrimitiveKind>().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid);
        assert!(error.to_string().contains("counter, value, map, set, lock, election"), "{error}");
    }
}
