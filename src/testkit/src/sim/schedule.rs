//! What happens when: the queue of everything that is to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use synod_types::Monotonic;

/// Events in the order of their time, and at the same time in the order in which they were planned.
pub(super) struct Schedule<E> {
    queue: BinaryHeap<Reverse<Planned<E>>>,
    planned: u64,
}

struct Planned<E> {
    at: Monotonic,
    place: u64,
    event: E,
}

impl<E> Planned<E> {
    const fn key(&self) -> (Monotonic, u64) {
        (self.at, self.place)
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Schedule<E> {
    pub(super) const fn new() -> Self {
        Self { queue: BinaryHeap::new(), planned: 0 }
    }

    /// Plans an event.
    pub(super) fn at(&mut self, at: Monotonic, event: E) {
        self.planned += 1;
        self.queue.push(Reverse(Planned { at, place: self.planned, event }));
    }

    /// Takes the next event.
    pub(super) fn next(&mut self) -> Option<(Monotonic, E)> {
        self.queue.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}
