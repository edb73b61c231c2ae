//! A key and its value in one allocation: what most of the memory of a replica is spent on.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Deref, Range};

use triomphe::ThinArc;

use super::Fault;

/// The length of a key, the key, the value. The pointer to it takes one word.
type Bytes = ThinArc<u32, u8>;

/// A key and its value. It is what its key is: pairs compare, and are looked up, by that alone.
#[derive(Clone)]
pub(super) struct Pair(Bytes);

impl Pair {
    /// # Errors
    /// [`Fault`] for a key of 4 GiB or more.
    pub(super) fn new(key: &[u8], value: &[u8]) -> Result<Self, Fault> {
        let length = u32::try_from(key.len()).map_err(|_| Fault(format!("a key has {} bytes", key.len())))?;
        Ok(Self(ThinArc::from_header_and_slice(length, &[key, value].concat())))
    }

    fn end_of_key(&self) -> usize {
        self.0.header.header as usize
    }

    fn part(&self, range: Range<usize>) -> Blob {
        Blob { bytes: self.0.clone(), range }
    }

    pub(super) fn key(&self) -> Blob {
        self.part(0..self.end_of_key())
    }

    pub(super) fn value(&self) -> Blob {
        self.part(self.end_of_key()..self.0.slice.len())
    }
}

impl Borrow<[u8]> for Pair {
    fn borrow(&self) -> &[u8] {
        self.0.slice.get(..self.end_of_key()).unwrap_or_default()
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, other): (&[u8], &[u8]) = (self.borrow(), other.borrow());
        own.cmp(other)
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

/// A key or a value that was read. It is shared and not copied, and keeps both in memory.
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
    range: Range<usize>,
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.slice.get(self.range.clone()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
