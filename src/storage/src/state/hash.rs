//! The hash of a keyspace that can be kept up to date write by write.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

use super::Table;

/// A 128-bit hash of a set of (table, key, value): the wrapping sum of the XXH3-128 of each.
///
/// A sum does not depend on the order in which things came, and a change costs one hash and one addition. It tells
/// whether replicas agree; it is no defence against somebody who chooses contents to make it collide.
///
/// Persisted in snapshots: the definition never changes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StateHash(u128);

impl StateHash {
    /// The hash with this bare value.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The bare value.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// Counts a pair in.
    pub fn add(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(pair(table, key, value));
    }

    /// Takes a pair out.
    pub fn remove(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(pair(table, key, value));
    }
}

fn pair(table: Table, key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&[table as u8]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.digest128()
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
