//! Session guarantees by index: a session reads what it wrote, never reads backwards, and a linearizable read misses
//! nothing that anybody was answered.
//!
//! Every answer carries the index up to which it reflects the commands of its partition; that of a write is its own
//! place in the order. So these promises can be judged without looking at any value.

use std::collections::BTreeMap;

use synod_types::Monotonic;

use super::Before;

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A command that went through the log.
    Write,
    /// A read that sees everything that was answered before.
    Linearizable,
    /// A read that sees at least what its session has seen.
    Sequential,
}

/// An operation of a session on one partition that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Whose.
    pub session: u64,
    /// What it was.
    pub kind: Kind,
    /// No later than the moment at which it was sent for the first time.
    pub invoked_at: Monotonic,
    /// When it was answered.
    pub returned_at: Monotonic,
    /// The index in the answer: for a write its own, for a read the last command that it reflects.
    pub index: u64,
}

/// What is wrong. Operations are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A session has seen more before.
    #[error("operation #{operation} reflects index {index}, although its session had seen {seen} before")]
    WentBack {
        /// Which operation.
        operation: usize,
        /// Its index.
        index: u64,
        /// What the session had seen.
        seen: u64,
    },
    /// A linearizable read misses a command that was answered before.
    #[error("linearizable read #{operation} reflects index {index}, although {answered} was answered before")]
    Stale {
        /// Which read.
        operation: usize,
        /// Its index.
        index: u64,
        /// The index that anybody had seen.
        answered: u64,
    },
    /// A write was ordered before something that was answered before it was sent.
    #[error("write #{operation} has index {index}, although {answered} was answered before it was sent")]
    Backdated {
        /// Which write.
        operation: usize,
        /// Its index.
        index: u64,
        /// The index that anybody had seen.
        answered: u64,
    },
    /// Two writes have the same place in the order.
    #[error("writes #{first} and #{second} both have index {index}")]
    SameIndex {
        /// One write.
        first: usize,
        /// The other one.
        second: usize,
        /// The index of both.
        index: u64,
    },
}

/// What is wrong with the operations on one partition, in O(n log n).
pub fn violations(operations: &[Answered]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut by_session: BTreeMap<u64, Vec<&Answered>> = BTreeMap::new();
    for operation in operations {
        by_session.entry(operation.session).or_default().push(operation);
    }
    let seen = |operations: &[&Answered]| {
        let seen = operations.iter().map(|operation| (operation.returned_at, operation.index));
        Before::new(seen, 0, u64::max)
    };
    let seen_by_all = seen(&operations.iter().collect::<Vec<_>>());
    let seen_by: BTreeMap<_, _> =
        by_session.iter().map(|(session, operations)| (*session, seen(operations))).collect();
    for (operation, answered) in operations.iter().enumerate() {
        let Answered { session, kind, invoked_at, index, .. } = *answered;
        let seen = seen_by.get(&session).and_then(|seen| seen.earlier_than(invoked_at)).unwrap_or(0);
        let by_all = seen_by_all.earlier_than(invoked_at).unwrap_or(0);
        violations.extend(match kind {
            _ if index < seen => Some(Violation::WentBack { operation, index, seen }),
            Kind::Linearizable if index < by_all => {
                Some(Violation::Stale { operation, index, answered: by_all })
            }
            Kind::Write if index <= by_all => {
                Some(Violation::Backdated { operation, index, answered: by_all })
            }
            _ => None,
        });
    }
    same_indexes(operations, &mut violations);
    violations
}

fn same_indexes(operations: &[Answered], violations: &mut Vec<Violation>) {
    let mut first_with = BTreeMap::new();
    for (second, Answered { kind, index, .. }) in operations.iter().copied().enumerate() {
        if kind != Kind::Write {
            continue;
        }
        let first = *first_with.entry(index).or_insert(second);
        if first != second {
            violations.push(Violation::SameIndex { first, second, index });
        }
    }
}
