//! The references: every order of a tiny history, one by one, without any of the search's cleverness.

use synod_testkit::linearizability::{Call, Model, Operation};
use synod_types::Monotonic;

use crate::judge::Op;

/// Whether some order of the operations is one that the model allows. Factorial: for tiny histories.
pub(crate) fn is_linearizable<M: Model>(model: &M, history: &[Op<M>]) -> bool {
    let mut step = |state: &M::State, operation: &Op<M>, latest: Monotonic| {
        let mut next = Vec::new();
        let call = Call {
            input: &operation.input,
            output: operation.output(),
            invoked_at: operation.invoked_at,
            latest,
        };
        model.step(state, call, &mut next);
        next
    };
    exists_order(&model.initial(&[]), history, &mut vec![false; history.len()], &mut step)
}

/// The states to which an operation leads if it takes effect no later than at the given moment.
pub(crate) type Step<'a, I, O, S> = dyn FnMut(&S, &Operation<I, O>, Monotonic) -> Vec<S> + 'a;

/// Whether some order of the operations leads from a state through all of them.
pub(crate) fn exists_order<I, O, S>(
    state: &S,
    history: &[Operation<I, O>],
    placed: &mut [bool],
    step: &mut Step<'_, I, O, S>,
) -> bool {
    let left = history.iter().zip(placed.iter()).filter(|(_, placed)| !**placed);
    let returns = left.filter_map(|(operation, _)| operation.returned.as_ref().map(|(at, _)| *at));
    // What was never answered need not have happened: when nothing else is left, the order is complete.
    let Some(latest) = returns.min() else { return true };
    for (place, operation) in history.iter().enumerate() {
        if placed[place] || operation.invoked_at > latest {
            continue;
        }
        placed[place] = true;
        let found =
            step(state, operation, latest).iter().any(|next| exists_order(next, history, placed, step));
        placed[place] = false;
        if found {
            return true;
        }
    }
    false
}
