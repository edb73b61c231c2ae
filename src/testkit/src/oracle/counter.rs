//! Counter bounds: what is read lies between what was certainly counted and what may have been.
//!
//! For a counter that clients only add to and subtract from, and that stays away from the ends of its range. An
//! increment that was answered before a read was sent must be in what it reads; one that was sent before the read was
//! answered may be. So this catches a lost increment, one that is counted twice, and a stale read, unless as much is on
//! its way at the same time.

use synod_types::Monotonic;

use super::Before;

/// An increment, or a decrement if it is negative, with all its retries if the session makes them one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was added.
    pub delta: i64,
    /// No later than the moment at which it was sent for the first time.
    pub invoked_at: Monotonic,
    /// When it was answered, and the number that it was answered. None if that is not known: it may count at any later
    /// moment, or never.
    pub answered: Option<(Monotonic, i64)>,
}

/// A linearizable read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// What was read.
    pub value: i64,
    /// When it was sent.
    pub invoked_at: Monotonic,
    /// When it was answered.
    pub returned_at: Monotonic,
}

/// What happened to one counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The counter before all that.
    pub initial: i64,
    /// What was added, in any order.
    pub changes: Vec<Change>,
    /// What was read, in any order. A read after everything else is over is what finds a change that was lost or
    /// counted twice for certain.
    pub reads: Vec<Read>,
}

/// What is wrong. Reads and changes are named by their places in the history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A read is out of bounds.
    #[error("read #{read} is {value}, which is not between {least} and {most}")]
    Read {
        /// Which read.
        read: usize,
        /// What was read.
        value: i64,
        /// What was certainly counted.
        least: i128,
        /// What may have been counted.
        most: i128,
    },
    /// A change was answered with a number out of bounds.
    #[error("change #{change} was answered {value}, which is not between {least} and {most}")]
    Answer {
        /// Which change.
        change: usize,
        /// What it was answered.
        value: i64,
        /// What was certainly counted, itself included.
        least: i128,
        /// What may have been counted, itself included.
        most: i128,
    },
    /// Two changes of a counter that only grows were answered the same number.
    #[error("changes #{first} and #{second} were both answered {value}, so one of them does not count")]
    SameAnswer {
        /// One change.
        first: usize,
        /// The other one.
        second: usize,
        /// What both were answered.
        value: i64,
    },
    /// A counter that nobody subtracts from was seen going back.
    #[error("read #{read} is {value}, although {seen} was seen before it was sent")]
    WentBack {
        /// Which read.
        read: usize,
        /// What was read.
        value: i64,
        /// What was seen before.
        seen: i64,
    },
}

/// Sums of what was added: all of it, and the positive and the negative part of it.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    up: i128,
    down: i128,
}

impl Sum {
    fn add(self, delta: i64) -> Self {
        let delta = i128::from(delta);
        Self { up: self.up + delta.max(0), down: self.down + delta.min(0) }
    }
}

struct Bounds {
    initial: i128,
    invoked: Before<Sum>,
    answered: Before<Sum>,
}

impl Bounds {
    fn new(history: &History) -> Self {
        let invoked = history.changes.iter().map(|change| (change.invoked_at, change.delta));
        let answered = history.changes.iter().filter_map(|change| Some((change.answered?.0, change.delta)));
        Self {
            initial: i128::from(history.initial),
            invoked: Before::new(invoked, Sum::default(), Sum::add),
            answered: Before::new(answered, Sum::default(), Sum::add),
        }
    }

    /// The least and the most that the counter can have been at a moment between these two.
    fn between(&self, from: Monotonic, to: Monotonic) -> (i128, i128) {
        let certain = self.answered.earlier_than(from).unwrap_or_default();
        let possible = self.invoked.no_later_than(to).unwrap_or_default();
        // What is certain is also possible: of the possible, only the rest is in doubt.
        (self.initial + certain.up + possible.down, self.initial + possible.up + certain.down)
    }
}

/// What is wrong with what was read from a counter, in O(n log n).
pub fn violations(history: &History) -> Vec<Violation> {
    let bounds = Bounds::new(history);
    let mut violations = Vec::new();
    for (read, Read { value, invoked_at, returned_at }) in history.reads.iter().copied().enumerate() {
        let (least, most) = bounds.between(invoked_at, returned_at);
        if !(least..=most).contains(&i128::from(value)) {
            violations.push(Violation::Read { read, value, least, most });
        }
    }
    for (change, Change { delta, invoked_at, answered }) in history.changes.iter().copied().enumerate() {
        let Some((answered_at, value)) = answered else { continue };
        let (least, most) = bounds.between(invoked_at, answered_at);
        // The change itself is among those in doubt, and certainly counts.
        let (least, most) = (least + i128::from(delta.max(0)), most + i128::from(delta.min(0)));
        if !(least..=most).contains(&i128::from(value)) {
            violations.push(Violation::Answer { change, value, least, most });
        }
    }
    if history.changes.iter().all(|change| change.delta >= 0) {
        growth(history, &mut violations);
    }
    violations
}

/// What a counter that never goes down cannot do.
fn growth(history: &History, violations: &mut Vec<Violation>) {
    let answers = || {
        history.changes.iter().enumerate().filter_map(|(change, Change { delta, answered, .. })| {
            let (answered_at, value) = (*answered)?;
            Some((value, change, answered_at, *delta))
        })
    };
    let mut by_value: Vec<_> = answers().filter(|(_, _, _, delta)| *delta > 0).collect();
    by_value.sort_unstable();
    for pair in by_value.windows(2) {
        if let [(value, first, ..), (other, second, ..)] = pair
            && value == other
        {
            violations.push(Violation::SameAnswer { first: *first, second: *second, value: *value });
        }
    }
    let reads = history.reads.iter().map(|read| (read.returned_at, read.value));
    let seen = reads.chain(answers().map(|(value, _, answered_at, _)| (answered_at, value)));
    let seen = Before::new(seen, i64::MIN, i64::max);
    for (read, Read { value, invoked_at, .. }) in history.reads.iter().copied().enumerate() {
        if let Some(seen) = seen.earlier_than(invoked_at).filter(|seen| *seen > value) {
            violations.push(Violation::WentBack { read, value, seen });
        }
    }
}
