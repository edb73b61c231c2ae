//! Ranges of keys.

use std::ops::Bound;

/// A lower and an upper bound.
pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A range of keys in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// From `start`, which is included, to `end`, which is not. Empty if `end` is not greater.
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { start, end: Some(end) };
            }
        }
        Self { start, end: None }
    }

    /// The same range without what is before `start`.
    #[must_use]
    pub fn starting_at(mut self, start: impl Into<Vec<u8>>) -> Self {
        self.start = self.start.max(start.into());
        self
    }

    /// The lower and upper bound, unless the range is empty.
    pub(super) fn bounds(&self) -> Option<Bounds<'_>> {
        match &self.end {
            Some(end) if *end <= self.start => None,
            Some(end) => Some((Bound::Included(&self.start), Bound::Excluded(end))),
            None => Some((Bound::Included(&self.start), Bound::Unbounded)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use proptest::prelude::*;

    use super::*;

    fn contains(range: &KeyRange, key: &[u8]) -> bool {
        range.bounds().is_some_and(|bounds| RangeBounds::<[u8]>::contains(&bounds, key))
    }

    #[test]
    fn a_reversed_range_is_empty() {
        assert_eq!(KeyRange::between(*b"b", *b"a").bounds(), None);
        assert_eq!(KeyRange::between(*b"a", *b"a").bounds(), None);
    }

    proptest! {
        #[test]
        fn a_prefix_range_holds_what_starts_with_it(prefix: Vec<u8>, key: Vec<u8>) {
            let range = KeyRange::prefix(prefix.clone());
            prop_assert_eq!(contains(&range, &key), key.starts_with(&prefix));
            let longer = [prefix.as_slice(), key.as_slice()].concat();
            prop_assert!(contains(&range, &longer));
        }
    }
}
