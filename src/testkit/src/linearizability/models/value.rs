//! The value.

use synod_types::PrimitiveId;

use super::entry::{Entry, When};
use super::{Answer, ClockBound, EntryAction, EntryAnswer};
use crate::linearizability::model::{Call, Model, Scope};

/// An action on a value: get, set, insert, update or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which value.
    pub value: PrimitiveId,
    /// What is done to it.
    pub action: EntryAction,
}

/// The model: one item.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueModel {
    /// How far the clock that ends TTLs can be trusted.
    pub clock: ClockBound,
}

impl Model for ValueModel {
    type Input = Input;
    type Output = Answer<EntryAnswer>;
    type State = Entry;
    type Key = PrimitiveId;

    fn scope(&self, input: &Input) -> Scope<PrimitiveId> {
        Scope::One(input.value)
    }

    fn initial(&self, _: &[PrimitiveId]) -> Entry {
        Entry::default()
    }

    fn step(&self, state: &Entry, call: Call<'_, Input, Answer<EntryAnswer>>, next: &mut Vec<Entry>) {
        let when = When { clock: self.clock, invoked_at: call.invoked_at };
        next.extend(state.by(call.latest).filter_map(|entry| match call.output {
            Some(answer) => entry.answered(&call.input.action, answer, when),
            None => entry.unanswered(&call.input.action, when),
        }));
    }

    fn observes(&self, input: &Input, output: Option<&Answer<EntryAnswer>>) -> bool {
        input.action.observes(output)
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        one.action.is_alike(&other.action)
    }
}
