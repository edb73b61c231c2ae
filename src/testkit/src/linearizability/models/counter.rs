//! The counter.

use synod_types::{ErrorCode, PrimitiveId};

use super::Answer;
use crate::linearizability::model::{Call, Leaves, Model, Scope};

/// What can be done to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads it.
    Get,
    /// Sets it.
    Set(i64),
    /// Sets it if it is as expected.
    Update {
        /// What it should be.
        expected: i64,
        /// What it becomes.
        value: i64,
    },
    /// Adds a number.
    Increment(i64),
    /// Subtracts a number.
    Decrement(i64),
}

/// An action on a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which counter.
    pub counter: PrimitiveId,
    /// What is done to it.
    pub action: Action,
}

/// What a counter answers when it does not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The counter after the action.
    pub value: i64,
    /// The counter before it, which only `Set` tells.
    pub previous: Option<i64>,
}

/// The model: a number that wraps around.
#[derive(Clone, Copy, Debug, Default)]
pub struct CounterModel;

impl Model for CounterModel {
    type Input = Input;
    type Output = Answer<Number>;
    type State = i64;
    type Key = PrimitiveId;

    fn scope(&self, input: &Input) -> Scope<PrimitiveId> {
        Scope::One(input.counter)
    }

    fn initial(&self, _: &[PrimitiveId]) -> i64 {
        0
    }

    fn step(&self, state: &i64, call: Call<'_, Input, Answer<Number>>, next: &mut Vec<i64>) {
        let to = |value| (value, Ok(Number { value, previous: None }));
        let (after, answer) = match call.input.action {
            Action::Get => to(*state),
            Action::Set(value) => (value, Ok(Number { value, previous: Some(*state) })),
            Action::Update { expected, value } if *state == expected => to(value),
            Action::Update { .. } => (*state, Err(ErrorCode::Conflict)),
            Action::Increment(delta) => to(state.wrapping_add(delta)),
            Action::Decrement(delta) => to(state.wrapping_sub(delta)),
        };
        if call.output.is_none_or(|output| *output == answer) {
            next.push(after);
        }
    }

    fn observes(&self, input: &Input, output: Option<&Answer<Number>>) -> bool {
        input.action == Action::Get || matches!(output, Some(Err(_)))
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        one.action == other.action
    }

    fn mark(&self, state: &i64) -> Option<u64> {
        Some(state.cast_unsigned())
    }

    fn needs(&self, input: &Input, output: &Answer<Number>) -> Option<u64> {
        let Number { value, previous } = output.as_ref().ok()?;
        let before = match input.action {
            Action::Get => *value,
            Action::Set(_) => (*previous)?,
            Action::Update { expected, .. } => expected,
            Action::Increment(delta) => value.wrapping_sub(delta),
            Action::Decrement(delta) => value.wrapping_add(delta),
        };
        Some(before.cast_unsigned())
    }

    fn leaves(&self, input: &Input, output: Option<&Answer<Number>>) -> Leaves {
        match (input.action, output) {
            (Action::Get, _) | (_, Some(Err(_))) => Leaves::Same,
            (_, Some(Ok(Number { value, .. }))) => Leaves::Mark(value.cast_unsigned()),
            (Action::Set(value) | Action::Update { value, .. }, None) => Leaves::Mark(value.cast_unsigned()),
            (Action::Increment(_) | Action::Decrement(_), None) => Leaves::Anything,
        }
    }
}
