//! The trial of one partition: the verdict, and if it is bad, from where on.

use std::time::Instant;

use synod_types::Monotonic;

use super::check::Budget;
use super::model::{Call, Model};
use super::operation::Operation;
use super::partition::Part;
use super::report::{Explanation, Report};
use super::search::{Cut, Outcome, Search};

/// One partition of a history, and the report to which the costs of its searches are added.
pub(super) struct Trial<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) history: &'a [Operation<M::Input, M::Output>],
    pub(super) part: &'a Part<M::Key>,
    pub(super) budget: Budget,
    pub(super) deadline: Option<Instant>,
    pub(super) report: &'a mut Report,
}

/// An order of operations, by their places in the history, and the state after it.
type Order<S> = (Vec<usize>, S);

impl<M: Model> Trial<'_, M> {
    /// Searches for an order of all that counts.
    pub(super) fn run(&mut self, cut: Option<Cut>) -> (Outcome, Order<M::State>) {
        let mut search = Search::new(self.model, self.history, self.part, cut, self.budget, self.deadline);
        let outcome = search.run();
        self.report.steps += search.steps();
        self.report.configurations += search.configurations();
        let (placed, state) = search.found();
        (outcome, (placed, state.clone()))
    }

    /// Finds the first return that no order explains, by halving: what has an order up to some return has one up to
    /// every earlier return.
    pub(super) fn explain(&mut self) -> Explanation {
        let mut returns: Vec<_> =
            self.part.operations.iter().filter_map(|place| self.cut_at(*place)).collect();
        returns.sort_unstable();
        let mut explained = (Vec::new(), self.model.initial(&self.part.keys));
        let (mut good, mut bad) = (0, returns.len());
        while good + 1 < bad {
            let middle = good.midpoint(bad);
            let Some(cut) = returns.get(middle.saturating_sub(1)) else { break };
            match self.run(Some(*cut)) {
                (Outcome::NotLinearizable, _) => bad = middle,
                (Outcome::Linearizable, order) => (good, explained) = (middle, order),
                (Outcome::Undecided, _) => good = middle,
            }
        }
        let culprit = bad.checked_sub(1).and_then(|place| returns.get(place)).copied();
        culprit.map(|culprit| self.describe(culprit, explained)).unwrap_or_default()
    }

    fn cut_at(&self, place: usize) -> Option<Cut> {
        self.history.get(place)?.returned_at().map(|returned_at| (returned_at, place))
    }

    /// Adds to an order what else may have taken effect, and says what is left.
    fn describe(&self, (latest, culprit): Cut, (mut placed, mut state): Order<M::State>) -> Explanation {
        let is_on_its_way = |place: &usize| {
            !placed.contains(place)
                && self.history.get(*place).is_some_and(|operation| {
                    operation.invoked_at <= latest
                        && operation.returned_at().is_none_or(|at| (at, *place) >= (latest, culprit))
                })
        };
        let mut unplaced: Vec<_> = self.part.operations.iter().copied().filter(is_on_its_way).collect();
        unplaced.retain(|place| {
            let next = if *place == culprit { None } else { self.follow(*place, &state, latest) };
            if let Some(next) = next {
                placed.push(*place);
                state = next;
                return false;
            }
            true
        });
        Explanation { placed, culprit, unplaced, state: format!("{state:?}") }
    }

    /// The state after an operation whose outcome is not known; none if it changes nothing.
    fn follow(&self, place: usize, state: &M::State, latest: Monotonic) -> Option<M::State> {
        let Operation { input, invoked_at, .. } = self.history.get(place)?;
        let mut next = Vec::new();
        self.model.step(state, Call { input, output: None, invoked_at: *invoked_at, latest }, &mut next);
        next.into_iter().find(|next| next != state)
    }
}
