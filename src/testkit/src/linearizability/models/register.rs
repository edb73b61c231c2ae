//! A register: the smallest model, and the yardstick for the search. It stands for no primitive.

use crate::linearizability::model::{Call, Leaves, Model, Scope};

/// What can be done to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads it.
    Read,
    /// Writes a number.
    Write(u64),
    /// Writes the second number if the first one is there.
    CompareAndSet(u64, u64),
}

/// An action on one of many registers, which all hold 0 at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which register.
    pub register: u64,
    /// What is done to it.
    pub action: Action,
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// What was read.
    Read(u64),
    /// It is written.
    Written,
    /// Whether the number was as expected.
    Compared(bool),
}

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisterModel;

impl Model for RegisterModel {
    type Input = Input;
    type Output = Output;
    type State = u64;
    type Key = u64;

    fn scope(&self, input: &Input) -> Scope<u64> {
        Scope::One(input.register)
    }

    fn initial(&self, _: &[u64]) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: Call<'_, Input, Output>, next: &mut Vec<u64>) {
        let (after, answer) = match call.input.action {
            Action::Read => (*state, Output::Read(*state)),
            Action::Write(value) => (value, Output::Written),
            Action::CompareAndSet(expected, value) if *state == expected => (value, Output::Compared(true)),
            Action::CompareAndSet(..) => (*state, Output::Compared(false)),
        };
        if call.output.is_none_or(|output| *output == answer) {
            next.push(after);
        }
    }

    fn observes(&self, input: &Input, output: Option<&Output>) -> bool {
        input.action == Action::Read || output == Some(&Output::Compared(false))
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        one == other
    }

    fn mark(&self, state: &u64) -> Option<u64> {
        Some(*state)
    }

    fn needs(&self, input: &Input, output: &Output) -> Option<u64> {
        match (input.action, output) {
            (Action::Read, Output::Read(value)) => Some(*value),
            (Action::CompareAndSet(expected, _), Output::Compared(true)) => Some(expected),
            _ => None,
        }
    }

    fn leaves(&self, input: &Input, output: Option<&Output>) -> Leaves {
        match (input.action, output) {
            (Action::Read, _) | (_, Some(Output::Compared(false))) => Leaves::Same,
            (Action::Write(value) | Action::CompareAndSet(_, value), _) => Leaves::Mark(value),
        }
    }
}
