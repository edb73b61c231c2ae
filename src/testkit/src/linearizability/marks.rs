//! What is still needed, and what can still bring it about: shows early that a configuration leads nowhere.
//!
//! A model may give the states marks; see [`Model::mark`](super::Model::mark). If an operation that is not placed yet
//! needs a mark that no other operation can bring about any more, the state must keep it: every order that goes on
//! with another mark is wrong, however far it would come before that shows.

use std::collections::BTreeMap;

use super::model::{Call, Leaves, Model};

/// What is left to do for one mark.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// How many operations that are not placed need it.
    needing: usize,
    /// How many operations that are not placed may bring it about.
    bringing: usize,
}

impl Left {
    const fn is_lost(self) -> bool {
        self.needing > 0 && self.bringing == 0
    }
}

/// What an operation needs and leaves, by the numbers of marks.
#[derive(Clone, Copy, Debug)]
struct Role {
    needs: Option<usize>,
    leaves: Option<usize>,
    /// It may bring about whatever mark.
    leaves_anything: bool,
}

/// The marks that the operations not placed yet need and leave.
#[derive(Debug)]
pub(super) struct Marks {
    numbers: BTreeMap<u64, usize>,
    left: Vec<Left>,
    roles: Vec<Role>,
    /// How many operations that are not placed may bring about whatever mark.
    bringing_anything: usize,
    /// How many marks are needed by somebody and brought about by nobody.
    lost: usize,
}

impl Marks {
    /// The marks of operations, none of which is placed.
    pub(super) fn new<'a, M: Model>(
        model: &M,
        calls: impl Iterator<Item = Call<'a, M::Input, M::Output>>,
    ) -> Self
    where
        M::Input: 'a,
        M::Output: 'a,
    {
        let mut numbers = BTreeMap::new();
        let mut number = |mark| {
            let next = numbers.len();
            *numbers.entry(mark).or_insert(next)
        };
        let roles: Vec<_> = calls
            .map(|Call { input, output, .. }| {
                let leaves = model.leaves(input, output);
                Role {
                    needs: output.and_then(|output| model.needs(input, output)).map(&mut number),
                    leaves: if let Leaves::Mark(mark) = leaves { Some(number(mark)) } else { None },
                    leaves_anything: leaves == Leaves::Anything,
                }
            })
            .collect();
        let left = vec![Left::default(); numbers.len()];
        let mut marks = Self { numbers, left, roles, bringing_anything: 0, lost: 0 };
        for operation in 0..marks.roles.len() {
            marks.put_back(operation);
        }
        marks
    }

    pub(super) fn place(&mut self, operation: usize) {
        self.count(operation, |count| *count = count.saturating_sub(1));
    }

    pub(super) fn put_back(&mut self, operation: usize) {
        self.count(operation, |count| *count += 1);
    }

    fn count(&mut self, operation: usize, change: impl Fn(&mut usize)) {
        let Some(Role { needs, leaves, leaves_anything }) = self.roles.get(operation).copied() else {
            return;
        };
        for (mark, is_needed) in [(needs, true), (leaves, false)] {
            let Some(left) = mark.and_then(|mark| self.left.get_mut(mark)) else { continue };
            let was_lost = left.is_lost();
            change(if is_needed { &mut left.needing } else { &mut left.bringing });
            self.lost = self.lost + usize::from(left.is_lost()) - usize::from(was_lost);
        }
        if leaves_anything {
            change(&mut self.bringing_anything);
        }
    }

    /// Whether the operations that are not placed cannot all be placed in a state with this mark.
    pub(super) fn are_out_of_reach(&self, mark: Option<u64>) -> bool {
        let Some(mark) = mark else { return false };
        let kept = self.numbers.get(&mark).and_then(|mark| self.left.get(*mark));
        let is_kept = kept.is_some_and(|left| left.is_lost());
        self.bringing_anything == 0 && self.lost > usize::from(is_kept)
    }
}
