//! A key and its value in one allocation: what most of the memory of a replica is spent on.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::iter::repeat_n;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::Fault;

/// How many bytes say how long the key is.
const PREFIX: usize = size_of::<u32>();

/// A key and its value. It is what its key is: pairs compare, and are looked up, by that alone.
#[derive(Clone)]
pub(super) struct Pair {
    /// The length of the key, the key, the value.
    bytes: Arc<[u8]>,
}

impl Pair {
    /// # Errors
    /// [`Fault`] for a key of 4 GiB or more.
    pub(super) fn new(key: &[u8], value: &[u8]) -> Result<Self, Fault> {
        let length = u32::try_from(key.len()).map_err(|_| Fault(format!("a key has {} bytes", key.len())))?;
        let parts = [&length.to_le_bytes(), key, value];
        let mut bytes: Arc<[u8]> = repeat_n(0, PREFIX + key.len() + value.len()).collect();
        // Nobody else has it yet.
        let mut room = Arc::get_mut(&mut bytes).unwrap_or_default();
        for part in parts {
            let (here, rest) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = rest;
        }
        Ok(Self { bytes })
    }

    fn end_of_key(&self) -> usize {
        let length = self.bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        PREFIX + length as usize
    }

    fn part(&self, range: Range<usize>) -> Blob {
        Blob { bytes: Arc::clone(&self.bytes), range }
    }

    pub(super) fn key(&self) -> Blob {
        self.part(PREFIX..self.end_of_key())
    }

    pub(super) fn value(&self) -> Blob {
        self.part(self.end_of_key()..self.bytes.len())
    }
}

impl Borrow<[u8]> for Pair {
    fn borrow(&self) -> &[u8] {
        self.bytes.get(PREFIX..self.end_of_key()).unwrap_or_default()
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
    bytes: Arc<[u8]>,
    range: Range<usize>,
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
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
