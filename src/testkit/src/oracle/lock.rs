//! Lock intervals: what clients believe to hold never overlaps, and fences grow in the order of the grants.
//!
//! A client that believes too long is the client library's fault as much as an overlap is the server's: both lose what
//! the lock protects.

use std::collections::BTreeMap;

use synod_types::Monotonic;

/// A client's belief that it holds one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Who. Several requests of one holder may share a fence, if the lock is reentrant.
    pub holder: u64,
    /// The fence of the grant.
    pub fence: u64,
    /// Whether others may read at the same time. A writer who becomes a reader ends one holding and begins another.
    pub reading: bool,
    /// No later than the moment at which it asked for the lock.
    pub requested_at: Monotonic,
    /// When it learned that it holds.
    pub from: Monotonic,
    /// When it stopped to believe so: it sent a release, was told of the loss, took its lease for lost, or the history
    /// ends.
    pub until: Monotonic,
}

/// What is wrong. Holdings are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two believed to hold at the same time, and one of them alone.
    #[error("holdings #{first} and #{second} overlap, and not both are readers")]
    Overlap {
        /// Who came first.
        first: usize,
        /// Who came while the first one still believed to hold.
        second: usize,
    },
    /// Two holders have the same fence.
    #[error("holdings #{first} and #{second} of different holders have the fence {fence}")]
    SameFence {
        /// One of them.
        first: usize,
        /// The other one.
        second: usize,
        /// The fence.
        fence: u64,
    },
    /// A later grant has a lower fence.
    #[error("holding #{second} was granted after holding #{first}, and its fence is not greater")]
    FenceWentBack {
        /// The earlier grant, with the greater fence.
        first: usize,
        /// The later grant.
        second: usize,
    },
}

/// What is wrong with the holdings of one lock, in O(n log n) as long as few hold it at the same time.
pub fn violations(holdings: &[Holding]) -> Vec<Violation> {
    let mut violations = same_fences(holdings);
    let mut order: Vec<_> = holdings.iter().enumerate().collect();
    order.sort_by_key(|(_, holding)| (holding.from, holding.fence));
    fences_by_request(&order, &mut violations);
    // Who stopped to believe as soon as it began never held anything.
    order.retain(|(_, holding)| holding.until > holding.from);
    overlaps(&order, &mut violations);
    fences_by_belief(&order, &mut violations);
    violations
}

/// A holding and its place.
type Placed<'a> = (usize, &'a Holding);

impl Holding {
    /// Whether both are of one grant.
    fn shares_with(&self, other: &Self) -> bool {
        self.holder == other.holder && self.fence == other.fence
    }
}

fn same_fences(holdings: &[Holding]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut first_of: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for (second, Holding { holder, fence, .. }) in holdings.iter().copied().enumerate() {
        let (first, first_holder) = *first_of.entry(fence).or_insert((second, holder));
        if first_holder != holder {
            violations.push(Violation::SameFence { first, second, fence });
        }
    }
    violations
}

fn overlaps(order: &[Placed<'_>], violations: &mut Vec<Violation>) {
    let (mut writers, mut readers): (Vec<Placed<'_>>, Vec<Placed<'_>>) = Default::default();
    for (second, holding) in order.iter().copied() {
        writers.retain(|(_, other)| other.until > holding.from);
        let against: Vec<_> = if holding.reading {
            writers.clone()
        } else {
            readers.retain(|(_, other)| other.until > holding.from);
            writers.iter().chain(&readers).copied().collect()
        };
        for (first, other) in against {
            if !other.shares_with(holding) {
                violations.push(Violation::Overlap { first, second });
            }
        }
        if holding.reading { readers.push((second, holding)) } else { writers.push((second, holding)) }
    }
}

/// Whoever learns of a grant that excludes an earlier holding has the greater fence.
fn fences_by_belief(order: &[Placed<'_>], violations: &mut Vec<Violation>) {
    let (mut greatest, mut greatest_writer) = (None, None);
    for (second, holding) in order.iter().copied() {
        let before = if holding.reading { greatest_writer } else { greatest };
        check_fences(before, (second, holding), violations);
        greatest = greater(greatest, (second, holding));
        if !holding.reading {
            greatest_writer = greater(greatest_writer, (second, holding));
        }
    }
}

/// Of two holdings the one with the greater fence.
fn greater<'a>(best: Option<Placed<'a>>, other: Placed<'a>) -> Option<Placed<'a>> {
    best.filter(|(_, holding)| holding.fence >= other.1.fence).or(Some(other))
}

/// Whoever asked after another had learned of its grant has the greater fence, readers too.
fn fences_by_request(order: &[Placed<'_>], violations: &mut Vec<Violation>) {
    let mut by_request = order.to_vec();
    by_request.sort_by_key(|(_, holding)| holding.requested_at);
    let mut learned = order.iter().copied().peekable();
    let mut greatest = None;
    for (second, holding) in by_request {
        while let Some(other) = learned.next_if(|(_, other)| other.from < holding.requested_at) {
            greatest = greater(greatest, other);
        }
        check_fences(greatest, (second, holding), violations);
    }
}

/// Checks that the fence of a holding is greater than the greatest of those before it.
fn check_fences(before: Option<Placed<'_>>, (second, holding): Placed<'_>, violations: &mut Vec<Violation>) {
    if let Some((first, other)) = before
        && other.fence >= holding.fence
        && !other.shares_with(holding)
    {
        let violation = Violation::FenceWentBack { first, second };
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    }
}
