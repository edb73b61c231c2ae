//! All kinds of primitive in one history.

use synod_types::PrimitiveId;

use super::{Answer, ClockBound, ItemKey, counter, election, lock, map, set, value};
use crate::linearizability::model::{Call, Leaves, Model, Scope};

/// Declares the enums of all kinds and the dispatch between them.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $module:ident, $model:ident, $output:ty, $key:ty;)*) => {
        /// An action on a primitive.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Input {
            $($(#[$doc])* $kind($module::Input),)*
        }

        /// What a primitive answers.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Output {
            $($(#[$doc])* $kind($output),)*
        }

        /// What operations are split by.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key {
            $($(#[$doc])* $kind($key),)*
        }

        /// The state of one partition of a history, which is of one kind.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum State {
            /// Nothing has happened yet.
            Initial,
            $($(#[$doc])* $kind(<$module::$model as Model>::State),)*
        }

        impl Model for PrimitivesModel {
            type Input = Input;
            type Output = Output;
            type State = State;
            type Key = Key;

            fn scope(&self, input: &Input) -> Scope<Key> {
                match input {
                    $(Input::$kind(input) => of(self.$module.scope(input), Key::$kind),)*
                }
            }

            fn initial(&self, _: &[Key]) -> State {
                State::Initial
            }

            fn step(&self, state: &State, call: Call<'_, Input, Output>, next: &mut Vec<State>) {
                match call.input {
                    $(Input::$kind(input) => {
                        let output = match call.output {
                            None => None,
                            Some(Output::$kind(output)) => Some(output),
                            Some(_) => return,
                        };
                        let mut after = Vec::new();
                        match state {
                            State::$kind(state) => self.$module.step(state, call.of(input, output), &mut after),
                            State::Initial => {
                                let state = self.$module.initial(&[]);
                                self.$module.step(&state, call.of(input, output), &mut after);
                            }
                            _ => {}
                        }
                        next.extend(after.into_iter().map(State::$kind));
                    })*
                }
            }

            fn observes(&self, input: &Input, output: Option<&Output>) -> bool {
                match (input, output) {
                    $((Input::$kind(input), Some(Output::$kind(output))) => {
                        self.$module.observes(input, Some(output))
                    })*
                    $((Input::$kind(input), None) => self.$module.observes(input, None),)*
                    _ => false,
                }
            }

            fn alike(&self, one: &Input, other: &Input) -> bool {
                match (one, other) {
                    $((Input::$kind(one), Input::$kind(other)) => self.$module.alike(one, other),)*
                    _ => false,
                }
            }

            fn mark(&self, state: &State) -> Option<u64> {
                match state {
                    State::Initial => None,
                    $(State::$kind(state) => self.$module.mark(state),)*
                }
            }

            fn needs(&self, input: &Input, output: &Output) -> Option<u64> {
                match (input, output) {
                    $((Input::$kind(input), Output::$kind(output)) => self.$module.needs(input, output),)*
                    _ => None,
                }
            }

            fn leaves(&self, input: &Input, output: Option<&Output>) -> Leaves {
                match (input, output) {
                    $((Input::$kind(input), Some(Output::$kind(output))) => {
                        self.$module.leaves(input, Some(output))
                    })*
                    $((Input::$kind(input), None) => self.$module.leaves(input, None),)*
                    _ => Leaves::Anything,
                }
            }
        }
    };
}

kinds! {
    /// Of a counter.
    Counter: counter, CounterModel, Answer<counter::Number>, PrimitiveId;
    /// Of a value.
    Value: value, ValueModel, Answer<super::EntryAnswer>, PrimitiveId;
    /// Of a map.
    Map: map, MapModel, Answer<map::Output>, ItemKey;
    /// Of a set.
    Set: set, SetModel, Answer<set::Output>, ItemKey;
    /// Of a lock.
    Lock: lock, LockModel, Answer<lock::Output>, PrimitiveId;
    /// Of an election.
    Election: election, ElectionModel, Answer<election::Output>, PrimitiveId;
}

/// The models of all kinds.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrimitivesModel {
    counter: counter::CounterModel,
    value: value::ValueModel,
    map: map::MapModel,
    set: set::SetModel,
    lock: lock::LockModel,
    election: election::ElectionModel,
}

impl PrimitivesModel {
    /// The models, for a system whose clocks are trusted this far.
    pub fn new(clock: ClockBound) -> Self {
        Self {
            value: value::ValueModel { clock },
            map: map::MapModel { clock },
            set: set::SetModel { clock },
            lock: lock::LockModel { clock },
            ..Self::default()
        }
    }
}

fn of<K, L>(scope: Scope<K>, name: impl Fn(K) -> L) -> Scope<L> {
    match scope {
        Scope::One(key) => Scope::One(name(key)),
        Scope::Several(keys) => Scope::Several(keys.into_iter().map(name).collect()),
        Scope::Range { from, to } => Scope::Range { from: name(from), to: to.map(name) },
    }
}
