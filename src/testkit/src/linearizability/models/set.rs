//! The set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_types::Monotonic;

use super::{Answer, ClockBound, ItemKey, Shard};
use crate::linearizability::model::{Call, Model, Scope};

/// What can be done to a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds an element. One that is there stays as it is.
    Add {
        /// The element.
        element: String,
        /// Its TTL, if it has one.
        ttl: Option<Duration>,
    },
    /// Removes an element, if it is there.
    Remove(String),
    /// Looks for an element.
    Contains(String),
    /// Counts the elements.
    Len,
    /// Removes all elements.
    Clear,
    /// Lists the elements that start with this.
    List(String),
}

/// An action on the part of a set that is on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which part.
    pub shard: Shard,
    /// What is done to it.
    pub action: Action,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Whether the element was added, removed, or is there.
    Is(bool),
    /// How many elements there are, or were removed.
    Count(u64),
    /// The elements, in order.
    Listed(Vec<String>),
}

/// The elements that are there, and when each ends at the earliest if it has a TTL.
pub type Elements = BTreeMap<String, Option<Monotonic>>;

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetModel {
    /// How far the clock that ends TTLs can be trusted.
    pub clock: ClockBound,
}

impl Model for SetModel {
    type Input = Input;
    type Output = Answer<Output>;
    type State = Elements;
    type Key = ItemKey;

    fn scope(&self, input: &Input) -> Scope<ItemKey> {
        match &input.action {
            Action::Add { element, .. } | Action::Remove(element) | Action::Contains(element) => {
                Scope::One(input.shard.item(element))
            }
            Action::Len | Action::Clear | Action::List(_) => input.shard.everything(),
        }
    }

    fn initial(&self, _: &[ItemKey]) -> Elements {
        Elements::new()
    }

    fn step(&self, state: &Elements, call: Call<'_, Input, Answer<Output>>, next: &mut Vec<Elements>) {
        match &call.input.action {
            Action::Add { element, .. } | Action::Remove(element) | Action::Contains(element) => {
                let mut after = |state: &Elements| next.extend(self.one(state, element, call));
                after(state);
                if may_have_ended(state, element, call.latest) {
                    after(&without(state, element));
                }
            }
            Action::Len => next.extend(counted(state, call).then(|| state.clone())),
            Action::Clear => next.extend(counted(state, call).then(Elements::new)),
            Action::List(prefix) => next.extend(listed(state, prefix, call)),
        }
    }

    fn observes(&self, input: &Input, output: Option<&Answer<Output>>) -> bool {
        let reads = matches!(input.action, Action::Contains(_) | Action::Len | Action::List(_));
        reads || matches!(output, Some(Ok(Output::Is(false)) | Err(_)))
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        one.action == other.action && !matches!(one.action, Action::Add { ttl: Some(_), .. })
    }
}

impl SetModel {
    /// What an action on one element makes of the elements.
    fn one(
        &self,
        state: &Elements,
        element: &str,
        call: Call<'_, Input, Answer<Output>>,
    ) -> Option<Elements> {
        let present = state.contains_key(element);
        let (after, is) = match &call.input.action {
            Action::Add { ttl, .. } if !present => {
                let ends = ttl.map(|ttl| self.clock.earliest_end(call.invoked_at, ttl));
                let mut after = state.clone();
                after.insert(element.to_owned(), ends);
                (after, true)
            }
            Action::Remove(_) if present => (without(state, element), true),
            Action::Add { .. } | Action::Remove(_) => (state.clone(), false),
            _ => (state.clone(), present),
        };
        call.output.is_none_or(|output| *output == Ok(Output::Is(is))).then_some(after)
    }
}

fn without(state: &Elements, element: &str) -> Elements {
    let mut after = state.clone();
    after.remove(element);
    after
}

fn may_have_ended(state: &Elements, element: &str, latest: Monotonic) -> bool {
    state.get(element).copied().flatten().is_some_and(|ends| ends <= latest)
}

/// Whether the set may have this many elements.
fn counted(state: &Elements, call: Call<'_, Input, Answer<Output>>) -> bool {
    let most = state.len() as u64;
    let ended = state.keys().filter(|element| may_have_ended(state, element, call.latest)).count() as u64;
    match call.output {
        None => true,
        Some(Ok(Output::Count(count))) => (most - ended..=most).contains(count),
        Some(_) => false,
    }
}

fn listed(state: &Elements, prefix: &str, call: Call<'_, Input, Answer<Output>>) -> Option<Elements> {
    let Some(Ok(Output::Listed(elements))) = call.output else { return None };
    let shown: BTreeSet<_> = elements.iter().collect();
    let in_order = shown.iter().copied().eq(elements);
    let known = shown.iter().all(|element| element.starts_with(prefix) && state.contains_key(*element));
    let mut gone = state.keys().filter(|element| element.starts_with(prefix) && !shown.contains(element));
    if !in_order || !known || !gone.all(|element| may_have_ended(state, element, call.latest)) {
        return None;
    }
    let stays = |element: &String| !element.starts_with(prefix) || shown.contains(element);
    Some(
        state
            .iter()
            .filter(|(element, _)| stays(element))
            .map(|(element, ends)| (element.clone(), *ends))
            .collect(),
    )
}
