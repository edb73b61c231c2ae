//! The search for an order of the operations of one partition.

use std::time::Instant;

use synod_types::Monotonic;

use super::cache::Cache;
use super::check::Budget;
use super::marks::Marks;
use super::model::{Call, Model};
use super::operation::Operation;
use super::partition::Part;
use super::placed::Placed;
use super::timeline::{Timeline, Unanswered};

/// How many configurations are tried between two looks at the clock.
const ROUNDS_BETWEEN_LOOKS: u64 = 1_024;

/// Behind the last return there is no latest moment.
const END_OF_TIME: Monotonic = Monotonic::from_nanos(u64::MAX);

/// What the search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Linearizable,
    NotLinearizable,
    Undecided,
}

/// How much of a history counts: a return and its place in the history. Later returns are not known yet.
pub(super) type Cut = (Monotonic, usize);

/// An operation with what is known of it before the search. They are numbered: first those with an answer, then those
/// without, each by the order of invocation.
struct Subject<'a, M: Model> {
    input: &'a M::Input,
    invoked_at: Monotonic,
    returned: Option<(Monotonic, &'a M::Output)>,
    /// Its place in the whole history.
    place: usize,
    /// Of those with an answer: whether the model says that it changes nothing.
    observes: bool,
    /// Of those without an answer: an earlier one that can stand in for it.
    stand_in: Option<usize>,
}

/// A configuration that was entered, and what was not tried from there yet.
struct Frame<S> {
    /// What was placed to get here, in order.
    placed: Vec<usize>,
    state: S,
    /// What is placed next takes effect no later than this.
    latest: Monotonic,
    candidates: std::vec::IntoIter<usize>,
    /// The candidate that was taken last, and the states to which it leads.
    candidate: usize,
    successors: std::vec::IntoIter<S>,
}

/// What came of entering a configuration: an order of everything, something to go on from, or nothing that is new or
/// leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    Complete,
    New,
    Nothing,
}

pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    subjects: Vec<Subject<'a, M>>,
    answered: usize,
    initial: M::State,
    budget: Budget,
    deadline: Option<Instant>,
    timeline: Timeline,
    unanswered: Unanswered,
    placed: Placed,
    marks: Marks,
    cache: Cache<M::State>,
    stack: Vec<Frame<M::State>>,
    steps: u64,
    configurations: u64,
}

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(
        model: &'a M,
        history: &'a [Operation<M::Input, M::Output>],
        part: &Part<M::Key>,
        cut: Option<Cut>,
        budget: Budget,
        deadline: Option<Instant>,
    ) -> Self {
        let (subjects, answered) = subjects(model, history, &part.operations, cut);
        let mut spans = Vec::with_capacity(answered);
        let mut invoked_at = Vec::new();
        for subject in &subjects {
            match subject.returned {
                Some((returned_at, _)) => spans.push((subject.invoked_at, returned_at)),
                None => invoked_at.push(subject.invoked_at),
            }
        }
        Self {
            model,
            answered,
            initial: model.initial(&part.keys),
            budget,
            deadline,
            timeline: Timeline::new(&spans),
            placed: Placed::new(answered, invoked_at.len()),
            unanswered: Unanswered::new(invoked_at),
            marks: Marks::new(model, subjects.iter().map(|subject| subject.call(END_OF_TIME))),
            subjects,
            cache: Cache::new(),
            stack: Vec::new(),
            steps: 0,
            configurations: 0,
        }
    }

    /// How often the model was asked.
    pub(super) const fn steps(&self) -> u64 {
        self.steps
    }

    /// How many configurations were entered.
    pub(super) const fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Tries everything, until an order is found, which then is on the stack.
    pub(super) fn run(&mut self) -> Outcome {
        let mut entered = self.enter(Vec::new(), self.initial.clone());
        for round in 1.. {
            if entered == Entered::Complete {
                return Outcome::Linearizable;
            }
            if self.is_over_budget(round) {
                return Outcome::Undecided;
            }
            entered = match self.next_alternative() {
                Some((operation, state)) => {
                    self.place(operation);
                    self.enter(vec![operation], state)
                }
                None if self.leave() => Entered::Nothing,
                None => return Outcome::NotLinearizable,
            };
        }
        Outcome::Undecided
    }

    fn is_over_budget(&self, round: u64) -> bool {
        let late = || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.steps > self.budget.steps
            || self.configurations > self.budget.configurations
            || (round.is_multiple_of(ROUNDS_BETWEEN_LOOKS) && late())
    }

    /// Enters a configuration, after placing what only observes it.
    fn enter(&mut self, mut placed: Vec<usize>, state: M::State) -> Entered {
        let mut candidates = Vec::new();
        let first_return = loop {
            candidates.clear();
            match self.timeline.candidates(&mut candidates) {
                Some(first) if self.place_observations(&candidates, first, &state, &mut placed) => {}
                first => break first,
            }
        };
        let is_hopeless = self.marks.are_out_of_reach(self.model.mark(&state));
        if is_hopeless || !self.cache.insert(&self.placed, &state) {
            self.take_back(&placed);
            return Entered::Nothing;
        }
        self.configurations += 1;
        let latest = first_return.map_or(END_OF_TIME, |first| self.returned_at(first));
        self.order(&mut candidates, latest);
        self.stack.push(Frame {
            placed,
            state,
            latest,
            candidates: candidates.into_iter(),
            candidate: 0,
            successors: Vec::new().into_iter(),
        });
        if first_return.is_some() { Entered::New } else { Entered::Complete }
    }

    /// Places every candidate that observes the state and is allowed by it; tells whether there was one.
    fn place_observations(
        &mut self,
        candidates: &[usize],
        first_return: usize,
        state: &M::State,
        placed: &mut Vec<usize>,
    ) -> bool {
        let latest = self.returned_at(first_return);
        let before = placed.len();
        for candidate in candidates {
            if self.subjects.get(*candidate).is_some_and(|subject| subject.observes)
                && self.step(*candidate, state, latest) == std::slice::from_ref(state)
            {
                self.place(*candidate);
                placed.push(*candidate);
            }
        }
        placed.len() > before
    }

    /// Puts candidates into the order in which they are tried.
    fn order(&self, candidates: &mut Vec<usize>, latest: Monotonic) {
        candidates.sort_by_key(|candidate| self.timeline.place_of_return(*candidate));
        let waits = |number: &usize| {
            let stand_in = self.subjects.get(self.answered + number).and_then(|subject| subject.stand_in);
            stand_in.is_none_or(|stand_in| self.placed.contains_unanswered(stand_in))
        };
        candidates.extend(self.unanswered.until(latest).filter(waits).map(|number| self.answered + number));
    }

    /// The next operation to be tried from the configuration on top of the stack, and the state to which it leads.
    fn next_alternative(&mut self) -> Option<(usize, M::State)> {
        let mut frame = self.stack.pop()?;
        let found = loop {
            if let Some(state) = frame.successors.next() {
                break Some((frame.candidate, state));
            }
            let Some(candidate) = frame.candidates.next() else { break None };
            let mut successors = self.step(candidate, &frame.state, frame.latest);
            if candidate >= self.answered {
                // What nobody waits for and changes nothing need not have happened.
                successors.retain(|state| *state != frame.state);
            }
            frame.candidate = candidate;
            frame.successors = successors.into_iter();
        };
        self.stack.push(frame);
        found
    }

    /// Leaves the configuration on top of the stack; tells whether there was one.
    fn leave(&mut self) -> bool {
        let Some(frame) = self.stack.pop() else { return false };
        self.take_back(&frame.placed);
        true
    }

    fn step(&mut self, number: usize, state: &M::State, latest: Monotonic) -> Vec<M::State> {
        self.steps += 1;
        let mut next = Vec::new();
        if let Some(subject) = self.subjects.get(number) {
            self.model.step(state, subject.call(latest), &mut next);
        }
        next
    }

    fn returned_at(&self, number: usize) -> Monotonic {
        let subject = self.subjects.get(number);
        subject.and_then(|subject| subject.returned).map_or(END_OF_TIME, |(returned_at, _)| returned_at)
    }

    fn place(&mut self, number: usize) {
        self.marks.place(number);
        match number.checked_sub(self.answered) {
            None => {
                self.timeline.lift(number);
                self.placed.insert_answered(number);
            }
            Some(unanswered) => {
                self.unanswered.lift(unanswered);
                self.placed.insert_unanswered(unanswered);
            }
        }
    }

    /// Takes back what was placed last.
    fn take_back(&mut self, placed: &[usize]) {
        for number in placed.iter().rev() {
            self.marks.put_back(*number);
            match number.checked_sub(self.answered) {
                None => {
                    self.placed.remove_answered(*number);
                    self.timeline.put_back(*number);
                }
                Some(unanswered) => {
                    self.placed.remove_unanswered(unanswered);
                    self.unanswered.put_back(unanswered);
                }
            }
        }
    }

    /// The order that was found, by places in the history, and the state after it.
    pub(super) fn found(&self) -> (Vec<usize>, &M::State) {
        let place = |number: &usize| self.subjects.get(*number).map(|subject| subject.place);
        let placed = self.stack.iter().flat_map(|frame| &frame.placed).filter_map(place).collect();
        (placed, self.stack.last().map_or(&self.initial, |top| &top.state))
    }
}

impl<'a, M: Model> Subject<'a, M> {
    const fn call(&self, latest: Monotonic) -> Call<'a, M::Input, M::Output> {
        let output = match self.returned {
            Some((_, output)) => Some(output),
            None => None,
        };
        Call { input: self.input, output, invoked_at: self.invoked_at, latest }
    }
}

/// Numbers the operations of a partition, without those that never returned and only observe.
fn subjects<'a, M: Model>(
    model: &M,
    history: &'a [Operation<M::Input, M::Output>],
    places: &[usize],
    cut: Option<Cut>,
) -> (Vec<Subject<'a, M>>, usize) {
    let mut subjects: Vec<_> = places
        .iter()
        .filter_map(|place| {
            let Operation { input, invoked_at, returned, .. } = history.get(*place)?;
            if cut.is_some_and(|(until, _)| *invoked_at > until) {
                return None;
            }
            let returned = returned.as_ref().map(|(returned_at, output)| (*returned_at, output));
            let returned = returned.filter(|(at, _)| cut.is_none_or(|cut| (*at, *place) <= cut));
            let observes = model.observes(input, returned.map(|(_, output)| output));
            let matters = returned.is_some() || !observes;
            let (invoked_at, place) = (*invoked_at, *place);
            matters.then_some(Subject { input, invoked_at, returned, place, observes, stand_in: None })
        })
        .collect();
    subjects.sort_by_key(|subject| (subject.returned.is_none(), subject.invoked_at, subject.place));
    let answered = subjects.partition_point(|subject| subject.returned.is_some());
    let unanswered = subjects.get_mut(answered..).unwrap_or_default();
    let stand_ins: Vec<_> = (0..unanswered.len())
        .map(|number| {
            let (earlier, later) = unanswered.split_at(number);
            let input = later.first()?.input;
            earlier.iter().rposition(|other| model.alike(other.input, input))
        })
        .collect();
    for (subject, stand_in) in unanswered.iter_mut().zip(stand_ins) {
        subject.stand_in = stand_in;
    }
    (subjects, answered)
}
