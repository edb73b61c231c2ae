//! The configurations that the search has been in.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::placed::Placed;

/// Which operations were placed, and the state after them.
type Configuration<S> = (Box<[u64]>, S);

/// Remembers configurations exactly; their hashes only find them.
#[derive(Debug)]
pub(super) struct Cache<S> {
    by_hash: BTreeMap<u64, Vec<Configuration<S>>>,
    form: Vec<u64>,
}

impl<S: Clone + Eq + Hash> Cache<S> {
    pub(super) const fn new() -> Self {
        Self { by_hash: BTreeMap::new(), form: Vec::new() }
    }

    /// Remembers a configuration; tells whether it is new.
    pub(super) fn insert(&mut self, placed: &Placed, state: &S) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(placed.hash());
        state.hash(&mut hasher);
        placed.write_to(&mut self.form);
        let alike = self.by_hash.entry(hasher.finish()).or_default();
        if alike.iter().any(|(form, known)| **form == *self.form && known == state) {
            return false;
        }
        alike.push((self.form.as_slice().into(), state.clone()));
        true
    }
}
