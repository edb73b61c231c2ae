//! The operations that are not placed yet, in the order of time.
//!
//! A list of invocations and returns, linked both ways, from which an operation is lifted when it is placed and into
//! which it is put back when that is taken back, in the opposite order. What may be placed next stands in front of the
//! first return.

use synod_types::Monotonic;

/// A list of the numbers 1 to n in order, from which numbers can be taken and put back.
#[derive(Debug)]
struct Links {
    next: Vec<usize>,
    previous: Vec<usize>,
}

/// Before the first and behind the last number.
const END: usize = 0;

impl Links {
    fn new(count: usize) -> Self {
        let next = (1..=count).chain([END]).collect();
        let previous = std::iter::once(count).chain(0..count).collect();
        Self { next, previous }
    }

    fn after(&self, number: usize) -> usize {
        self.next.get(number).copied().unwrap_or(END)
    }

    fn neighbours(&self, number: usize) -> (usize, usize) {
        (self.previous.get(number).copied().unwrap_or(END), self.after(number))
    }

    fn remove(&mut self, number: usize) {
        let (previous, next) = self.neighbours(number);
        self.join(previous, next);
    }

    /// Puts a number back. Everything that was removed after it must be back already.
    fn restore(&mut self, number: usize) {
        let (previous, next) = self.neighbours(number);
        self.join(previous, number);
        self.join(number, next);
    }

    fn join(&mut self, left: usize, right: usize) {
        if let Some(next) = self.next.get_mut(left) {
            *next = right;
        }
        if let Some(previous) = self.previous.get_mut(right) {
            *previous = left;
        }
    }
}

/// An invocation or a return.
#[derive(Clone, Copy, Debug)]
struct Event {
    operation: usize,
    returns: bool,
}

/// The operations with an answer, numbered by the order of their invocations.
#[derive(Debug)]
pub(super) struct Timeline {
    links: Links,
    events: Vec<Event>,
    /// The numbers of the two events of each operation.
    of_operation: Vec<(usize, usize)>,
}

impl Timeline {
    /// The timeline of operations that were invoked and returned at these moments. At equal moments invocations come
    /// first, so that the operations are concurrent.
    pub(super) fn new(operations: &[(Monotonic, Monotonic)]) -> Self {
        let invocations = operations.iter().enumerate().map(|(operation, (at, _))| (*at, false, operation));
        let returns = operations.iter().enumerate().map(|(operation, (_, at))| (*at, true, operation));
        let mut order: Vec<_> = invocations.chain(returns).collect();
        order.sort_unstable();
        let mut of_operation = vec![(END, END); operations.len()];
        let mut events = Vec::with_capacity(order.len());
        for (number, (_, returns, operation)) in (1..).zip(order) {
            if let Some(numbers) = of_operation.get_mut(operation) {
                *(if returns { &mut numbers.1 } else { &mut numbers.0 }) = number;
            }
            events.push(Event { operation, returns });
        }
        Self { links: Links::new(events.len()), events, of_operation }
    }

    /// Adds the operations that may be placed next to `candidates`, in the order of their invocations, and returns the
    /// one whose return is the first to come; none if all are placed.
    pub(super) fn candidates(&self, candidates: &mut Vec<usize>) -> Option<usize> {
        let mut number = self.links.after(END);
        while let Some(event) = number.checked_sub(1).and_then(|place| self.events.get(place)) {
            if event.returns {
                return Some(event.operation);
            }
            candidates.push(event.operation);
            number = self.links.after(number);
        }
        None
    }

    /// How late an operation returns among all events.
    pub(super) fn place_of_return(&self, operation: usize) -> usize {
        self.of_operation.get(operation).map_or(END, |(_, returns)| *returns)
    }

    pub(super) fn lift(&mut self, operation: usize) {
        if let Some((invocation, returns)) = self.of_operation.get(operation).copied() {
            self.links.remove(invocation);
            self.links.remove(returns);
        }
    }

    /// Takes back the last lift that was not taken back yet, which was of this operation.
    pub(super) fn put_back(&mut self, operation: usize) {
        if let Some((invocation, returns)) = self.of_operation.get(operation).copied() {
            self.links.restore(returns);
            self.links.restore(invocation);
        }
    }
}

/// The operations without an answer, numbered by the order of their invocations.
#[derive(Debug)]
pub(super) struct Unanswered {
    links: Links,
    invoked_at: Vec<Monotonic>,
}

impl Unanswered {
    pub(super) fn new(invoked_at: Vec<Monotonic>) -> Self {
        Self { links: Links::new(invoked_at.len()), invoked_at }
    }

    /// Those that were invoked no later than `latest`.
    pub(super) fn until(&self, latest: Monotonic) -> impl Iterator<Item = usize> + '_ {
        let first = self.links.after(END);
        let numbers = std::iter::successors(Some(first), |number| Some(self.links.after(*number)));
        numbers
            .map_while(|number| number.checked_sub(1))
            .take_while(move |operation| self.invoked_at.get(*operation).is_some_and(|at| *at <= latest))
    }

    pub(super) fn lift(&mut self, operation: usize) {
        self.links.remove(operation + 1);
    }

    /// Takes back the last lift that was not taken back yet, which was of this operation.
    pub(super) fn put_back(&mut self, operation: usize) {
        self.links.restore(operation + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Monotonic {
        Monotonic::from_nanos(nanos)
    }

    fn candidates(timeline: &Timeline) -> (Vec<usize>, Option<usize>) {
        let mut candidates = Vec::new();
        let first = timeline.candidates(&mut candidates);
        (candidates, first)
    }

    #[test]
    fn what_stands_before_the_first_return_may_come_next() {
        let spans = [(at(0), at(9)), (at(1), at(2)), (at(2), at(3)), (at(4), at(5))];
        let mut timeline = Timeline::new(&spans);
        assert_eq!(candidates(&timeline), (vec![0, 1, 2], Some(1)), "equal moments are concurrent");
        timeline.lift(1);
        assert_eq!(candidates(&timeline), (vec![0, 2], Some(2)));
        timeline.lift(2);
        timeline.lift(0);
        assert_eq!(candidates(&timeline), (vec![3], Some(3)));
        timeline.lift(3);
        assert_eq!(candidates(&timeline), (vec![], None));
        for operation in [3, 0, 2, 1] {
            timeline.put_back(operation);
        }
        assert_eq!(candidates(&timeline), (vec![0, 1, 2], Some(1)));
        assert!(timeline.place_of_return(1) < timeline.place_of_return(2));
    }

    #[test]
    fn what_was_never_answered_may_come_at_any_moment_after_its_invocation() {
        let mut unanswered = Unanswered::new(vec![at(1), at(5), at(7)]);
        let until = |unanswered: &Unanswered, latest| unanswered.until(at(latest)).collect::<Vec<_>>();
        assert_eq!(until(&unanswered, 0), []);
        assert_eq!(until(&unanswered, 5), [0, 1]);
        unanswered.lift(0);
        assert_eq!(until(&unanswered, 9), [1, 2]);
        unanswered.put_back(0);
        assert_eq!(until(&unanswered, 9), [0, 1, 2]);
    }
}
