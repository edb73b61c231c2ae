//! What happens when: the queue of everything that is to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use synod_types::Monotonic;

/// Events in the order of their time, and at the same time in the order in which they were planned.
pub(super) struct Schedule<E> {
    /// When, the how-manieth that was planned, and where the event is. Events are large, and a heap moves what it holds.
    queue: BinaryHeap<Reverse<(Monotonic, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    planned: u64,
}

impl<E> Schedule<E> {
    pub(super) const fn new() -> Self {
        Self { queue: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }

    /// Plans an event.
    pub(super) fn at(&mut self, at: Monotonic, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.planned += 1;
        self.queue.push(Reverse((at, self.planned, place)));
    }

    /// Takes the next event, if it happens no later than `end`.
    pub(super) fn next_until(&mut self, end: Monotonic) -> Option<(Monotonic, E)> {
        let Reverse((at, _, place)) = *self.queue.peek()?;
        if at > end {
            return None;
        }
        self.queue.pop();
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }
}
