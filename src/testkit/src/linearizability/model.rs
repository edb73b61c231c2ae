//! What an object should do, as the search asks it.

use std::fmt::Debug;
use std::hash::Hash;

use synod_types::Monotonic;

/// A sequential object: the only thing that the search knows of what it checks.
///
/// A model is plain and pure: the same arguments give the same result. It may be lenient where it cannot know, and must
/// never refuse what the object may really do.
pub trait Model {
    /// What an operation asks for.
    type Input: Debug;
    /// What it is answered, refusals by the object included.
    type Output: Debug;
    /// The state of one partition of the object.
    type State: Clone + Eq + Hash + Debug;
    /// What operations are split by. Ranges of keys are in this order.
    type Key: Ord + Clone + Debug;

    /// Which keys an operation reads or writes. Operations that share a key, directly or through others, are judged
    /// together; all others apart.
    fn scope(&self, input: &Self::Input) -> Scope<Self::Key>;

    /// The state of the partition with these keys before the history.
    fn initial(&self, keys: &[Self::Key]) -> Self::State;

    /// Adds to `next` every state in which the object may be after the operation took effect in `state` and was
    /// answered as the call says, the likeliest first; none if that cannot be. An operation whose outcome is not known
    /// may be given whatever answer.
    fn step(
        &self,
        state: &Self::State,
        call: Call<'_, Self::Input, Self::Output>,
        next: &mut Vec<Self::State>,
    );

    /// Whether an operation with this answer (none: whatever the answer was) certainly changes nothing that others
    /// could see, in whatever state it takes effect. The search then places it in the first state that allows it and
    /// stays the same, without trying later ones.
    ///
    /// More exactly: whenever a step of the operation leads from a state to another one, all that is possible in the
    /// other one must be possible in the first one as well, then and later.
    fn observes(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> bool {
        false
    }

    /// Whether two operations whose outcomes are not known can stand in for each other: at the same place both give the
    /// same states. Without this, n of them on one key cost up to 2ⁿ configurations instead of n.
    fn alike(&self, _one: &Self::Input, _other: &Self::Input) -> bool {
        false
    }

    /// The mark of a state, if the model gives marks. They make the search faster where answers tell much of the state:
    /// it knows from them which operations need a state that cannot come again.
    fn mark(&self, _state: &Self::State) -> Option<u64> {
        None
    }

    /// The mark that an operation with this answer needs: states with other marks refuse it.
    fn needs(&self, _input: &Self::Input, _output: &Self::Output) -> Option<u64> {
        None
    }

    /// What an operation makes of the mark of a state; [`Leaves::Anything`] is always right.
    fn leaves(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> Leaves {
        Leaves::Anything
    }
}

/// What an operation makes of the mark of the state in which it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// The mark stays what it is.
    Same,
    /// It becomes this one, or stays what it is.
    Mark(u64),
    /// It becomes whatever it becomes.
    Anything,
}

/// Which keys an operation touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<K> {
    /// One.
    One(K),
    /// All of these; perhaps none.
    Several(Vec<K>),
    /// All from the first on, up to but not including the last if there is one.
    Range {
        /// The first.
        from: K,
        /// The first that is not touched any more.
        to: Option<K>,
    },
}

/// An operation as a model sees it when it is about to take effect.
#[derive(Debug)]
pub struct Call<'a, I, O> {
    /// What was asked for.
    pub input: &'a I,
    /// The answer; none if it is not known.
    pub output: Option<&'a O>,
    /// The operation takes effect no earlier than this.
    pub invoked_at: Monotonic,
    /// The operation takes effect no later than this: some operation that follows it, or it itself, returned then.
    /// Along one order of operations this never goes back.
    pub latest: Monotonic,
}

impl<I, O> Clone for Call<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Call<'_, I, O> {}

impl<'a, I, O> Call<'a, I, O> {
    /// The same call of another model that this one is made of.
    pub const fn of<J, P>(self, input: &'a J, output: Option<&'a P>) -> Call<'a, J, P> {
        Call { input, output, invoked_at: self.invoked_at, latest: self.latest }
    }
}
