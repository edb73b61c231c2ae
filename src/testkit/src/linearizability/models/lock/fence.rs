//! What is known of the fence of a grant.

/// A range in which a fence lies, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FenceRange {
    least: u64,
    most: u64,
}

impl FenceRange {
    /// Any fence from this one on.
    pub(super) const fn from(least: u64) -> Self {
        Self { least, most: u64::MAX }
    }

    pub(super) const fn least(self) -> u64 {
        self.least
    }

    /// Whether the fence is known to be this one.
    pub(super) const fn is(self, fence: u64) -> bool {
        self.least == fence && self.most == fence
    }

    /// Whether the fence may be this one, which is not known yet.
    pub(super) const fn may_turn_out_to_be(self, fence: u64) -> bool {
        self.least <= fence && fence <= self.most && self.least != self.most
    }

    /// The range without what lies below `least` and above `most`; none if nothing is left.
    pub(super) fn within(self, least: u64, most: u64) -> Option<Self> {
        let range = Self { least: self.least.max(least), most: self.most.min(most) };
        (range.least <= range.most).then_some(range)
    }
}
