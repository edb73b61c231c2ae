//! What kills an operator at one of its steps.
//!
//! A step is whatever an operator does to the world: a request to the API server that writes, or something that it asks of
//! a node. Each is counted by whoever is asked, before and after it is carried out.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::control_plane::Operator;

/// When an operator dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// What it asked for is not done.
    Before,
    /// What it asked for is done, and it never hears that.
    After,
}

/// Kills an operator at one of its steps, and counts the steps.
pub(crate) struct Fuse {
    state: Mutex<State>,
    blown: Notify,
}

struct State {
    steps: Vec<String>,
    at: Option<(usize, Moment)>,
    operator: Option<Operator>,
}

impl Fuse {
    /// One that blows at the step of this number, the first being 1; or never.
    pub(crate) fn new(at: Option<(usize, Moment)>) -> Self {
        let state = State { steps: Vec::new(), at, operator: None };
        Self { state: Mutex::new(state), blown: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Starts the operator that is to die, or to live on. Steps wait until it is known.
    pub(crate) fn start(&self, start: impl FnOnce() -> Operator) {
        let mut state = self.state();
        state.operator = Some(start());
    }

    /// Ends the operator, at whatever step it is.
    pub(crate) fn stop(&self) {
        self.state().operator = None;
    }

    /// The code with which the operator ended by itself.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.state().operator.as_mut()?.process.exit_code()
    }

    /// A step begins. Returns its number, or nothing if who asked for it is dead.
    pub(crate) fn begin(&self, what: &str) -> Option<usize> {
        let mut state = self.state();
        state.operator.as_ref()?;
        state.steps.push(what.to_owned());
        let step = state.steps.len();
        let is_dead = self.blow(&mut state, (step, Moment::Before));
        (!is_dead).then_some(step)
    }

    /// The step is done.
    pub(crate) fn end(&self, step: usize) {
        self.blow(&mut self.state(), (step, Moment::After));
    }

    fn blow(&self, state: &mut State, now: (usize, Moment)) -> bool {
        if state.at != Some(now) {
            return false;
        }
        state.at = None;
        state.operator = None;
        self.blown.notify_one();
        true
    }

    /// Returns when the operator is dead.
    pub(crate) async fn blown(&self) {
        self.blown.notified().await;
    }

    /// The steps until now.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.state().steps.clone()
    }

    /// Whether it is still to blow.
    pub(crate) fn is_whole(&self) -> bool {
        self.state().at.is_some()
    }
}
