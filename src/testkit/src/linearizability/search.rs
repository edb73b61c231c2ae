//! The search for an order of the operations of one partition.

use std::time::Instant;

use synod_types::Monotonic;

use super::cache::Cache;
use super::check::Budget;
use super::model::{Call, Model};
use super::operation::Operation;
use super::partition::Part;
use super::placed::Placed;
use super::report::Deepest;
use super::timeline::{Timeline, Unanswered};

/// How many configurations are tried between two looks at the clock.
const ROUNDS_BETWEEN_LOOKS: u64 = 1_024;

/// Behind the last return there is no latest moment.
const END_OF_TIME: Monotonic = Monotonic::from_nanos(u64::MAX);

/// What the search has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Linearizable,
    NotLinearizable(Deepest),
    Undecided,
}

/// An operation with what is known of it before the search. They are numbered: first those with an answer, then those
/// without, each by the order of invocation.
struct Subject<'a, M: Model> {
    operation: &'a Operation<M::Input, M::Output>,
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

/// What came of entering a configuration.
enum Entered {
    Complete,
    New,
    Known,
}

/// How far an order goes: the return that it cannot pass, then how many operations it has.
type Progress = (usize, usize);

pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    subjects: Vec<Subject<'a, M>>,
    answered: usize,
    keys: Vec<M::Key>,
    budget: Budget,
    deadline: Option<Instant>,
    timeline: Timeline,
    unanswered: Unanswered,
    placed: Placed,
    placed_count: usize,
    cache: Cache<M::State>,
    stack: Vec<Frame<M::State>>,
    best: Progress,
    steps: u64,
    configurations: u64,
}

impl<'a, M: Model> Search<'a, M> {
    pub(super) fn new(
        model: &'a M,
        history: &'a [Operation<M::Input, M::Output>],
        part: Part<M::Key>,
        budget: Budget,
        deadline: Option<Instant>,
    ) -> Self {
        let (subjects, answered) = subjects(model, history, part.operations);
        let mut spans = Vec::with_capacity(answered);
        let mut invoked_at = Vec::new();
        for Subject { operation, .. } in &subjects {
            match operation.returned_at() {
                Some(returned_at) => spans.push((operation.invoked_at, returned_at)),
                None => invoked_at.push(operation.invoked_at),
            }
        }
        Self {
            model,
            answered,
            keys: part.keys,
            budget,
            deadline,
            timeline: Timeline::new(&spans),
            placed: Placed::new(answered, invoked_at.len()),
            unanswered: Unanswered::new(invoked_at),
            subjects,
            placed_count: 0,
            cache: Cache::new(),
            stack: Vec::new(),
            best: (0, 0),
            steps: 0,
            configurations: 0,
        }
    }

    /// How often the model was asked, in both searches if there were two.
    pub(super) const fn steps(&self) -> u64 {
        self.steps
    }

    /// How many configurations were entered.
    pub(super) const fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Searches. If there is no order, the search is run again up to the configuration that came furthest, which is
    /// cheaper than to write each one down that comes further than those before.
    pub(super) fn run(&mut self) -> Outcome {
        match self.explore(None) {
            Explored::Complete => Outcome::Linearizable,
            Explored::OverBudget => Outcome::Undecided,
            Explored::All | Explored::Reached => {
                let goal = self.best;
                self.start_over();
                self.explore(Some(goal));
                self.describe().map_or(Outcome::Undecided, Outcome::NotLinearizable)
            }
        }
    }

    /// Tries everything, or until an order has come as far as `goal`, which then is on the stack.
    fn explore(&mut self, goal: Option<Progress>) -> Explored {
        let initial = self.model.initial(&self.keys);
        let mut entered = self.enter(Vec::new(), initial);
        for round in 1.. {
            match entered {
                Entered::Complete => return Explored::Complete,
                Entered::New if goal.is_some_and(|goal| self.best == goal) => return Explored::Reached,
                Entered::New | Entered::Known => {}
            }
            if self.is_over_budget(round) {
                return Explored::OverBudget;
            }
            entered = match self.next_alternative() {
                Some((operation, state)) => {
                    self.place(operation);
                    self.enter(vec![operation], state)
                }
                None if self.leave() => Entered::Known,
                None => return Explored::All,
            };
        }
        Explored::OverBudget
    }

    /// Forgets what was searched, for a second time that must be like the first and therefore needs no budget.
    fn start_over(&mut self) {
        while self.leave() {}
        self.cache = Cache::new();
        self.best = (0, 0);
        self.budget = Budget { steps: u64::MAX, configurations: u64::MAX, duration: None };
        self.deadline = None;
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
            let Some(first_return) = self.timeline.candidates(&mut candidates) else {
                return Entered::Complete;
            };
            if !self.place_observations(&candidates, first_return, &state, &mut placed) {
                break first_return;
            }
        };
        if !self.cache.insert(&self.placed, &state) {
            self.take_back(&placed);
            return Entered::Known;
        }
        self.configurations += 1;
        self.best = self.best.max((self.timeline.place_of_return(first_return), self.placed_count));
        self.order(&mut candidates, first_return);
        self.stack.push(Frame {
            placed,
            state,
            latest: self.returned_at(first_return),
            candidates: candidates.into_iter(),
            candidate: 0,
            successors: Vec::new().into_iter(),
        });
        Entered::New
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
    fn order(&self, candidates: &mut Vec<usize>, first_return: usize) {
        candidates.sort_by_key(|candidate| self.timeline.place_of_return(*candidate));
        let latest = self.returned_at(first_return);
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
        if let Some(Subject { operation, .. }) = self.subjects.get(number) {
            let call = Call {
                input: &operation.input,
                output: operation.output(),
                invoked_at: operation.invoked_at,
                latest,
            };
            self.model.step(state, call, &mut next);
        }
        next
    }

    fn returned_at(&self, number: usize) -> Monotonic {
        let subject = self.subjects.get(number);
        subject.and_then(|subject| subject.operation.returned_at()).unwrap_or(END_OF_TIME)
    }

    fn place(&mut self, number: usize) {
        self.placed_count += 1;
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
            self.placed_count -= 1;
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

    /// Describes the configuration on top of the stack.
    fn describe(&self) -> Option<Deepest> {
        let top = self.stack.last()?;
        let mut unplaced = Vec::new();
        let first_return = self.timeline.candidates(&mut unplaced)?;
        self.order(&mut unplaced, first_return);
        let place = |number: &usize| self.subjects.get(*number).map(|subject| subject.place);
        Some(Deepest {
            placed: self.stack.iter().flat_map(|frame| &frame.placed).filter_map(place).collect(),
            culprit: place(&first_return)?,
            unplaced: unplaced.iter().filter_map(place).collect(),
            state: format!("{:?}", top.state),
        })
    }
}

/// How an exploration ended.
enum Explored {
    Complete,
    All,
    Reached,
    OverBudget,
}

/// Numbers the operations of a partition, without those that never returned and only observe.
fn subjects<'a, M: Model>(
    model: &M,
    history: &'a [Operation<M::Input, M::Output>],
    places: Vec<usize>,
) -> (Vec<Subject<'a, M>>, usize) {
    let mut subjects: Vec<_> = places
        .into_iter()
        .filter_map(|place| {
            let operation = history.get(place)?;
            let observes = model.observes(&operation.input, operation.output());
            let matters = operation.returned.is_some() || !observes;
            matters.then_some(Subject { operation, place, observes, stand_in: None })
        })
        .collect();
    let order = |subject: &Subject<'_, M>| {
        (subject.operation.returned.is_none(), subject.operation.invoked_at, subject.place)
    };
    subjects.sort_by_key(order);
    let answered = subjects.partition_point(|subject| subject.operation.returned.is_some());
    let unanswered = subjects.get_mut(answered..).unwrap_or_default();
    let stand_ins: Vec<_> = (0..unanswered.len())
        .map(|number| {
            let (earlier, later) = unanswered.split_at(number);
            let input = &later.first()?.operation.input;
            earlier.iter().rposition(|other| model.alike(&other.operation.input, input))
        })
        .collect();
    for (subject, stand_in) in unanswered.iter_mut().zip(stand_ins) {
        subject.stand_in = stand_in;
    }
    (subjects, answered)
}
