//! Splits a history into parts that share no key.

use std::collections::BTreeMap;

use super::model::{Model, Scope};
use super::operation::Operation;

/// The operations on some keys, which no other part touches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<K> {
    /// In order. Empty for an operation that touches no key.
    pub(super) keys: Vec<K>,
    /// Places in the history, in its order.
    pub(super) operations: Vec<usize>,
}

/// Splits a history by the keys that its operations touch, in the order of the first key of each part.
pub(super) fn split<M: Model>(model: &M, history: &[Operation<M::Input, M::Output>]) -> Vec<Part<M::Key>> {
    let scopes: Vec<_> = history.iter().map(|operation| model.scope(&operation.input)).collect();
    let mut numbers = BTreeMap::new();
    for scope in &scopes {
        let named = match scope {
            Scope::One(key) => std::slice::from_ref(key),
            Scope::Several(keys) => keys,
            Scope::Range { .. } => continue,
        };
        for key in named {
            if !numbers.contains_key(key) {
                numbers.insert(key.clone(), 0);
            }
        }
    }
    for (number, slot) in numbers.values_mut().enumerate() {
        *slot = number;
    }
    let mut groups = Groups::new(numbers.len());
    let homes: Vec<_> = scopes.iter().map(|scope| join(scope, &numbers, &mut groups)).collect();
    gather(numbers, &mut groups, homes)
}

/// Joins the keys of a scope and returns the number of one of them.
fn join<K: Ord>(scope: &Scope<K>, numbers: &BTreeMap<K, usize>, groups: &mut Groups) -> Option<usize> {
    match scope {
        Scope::One(key) => numbers.get(key).copied(),
        Scope::Several(keys) => groups.join_all(keys.iter().filter_map(|key| numbers.get(key).copied())),
        Scope::Range { from, to } => {
            let within = numbers.range(from..).take_while(|(key, _)| to.as_ref().is_none_or(|to| *key < to));
            groups.join_all(within.map(|(_, number)| *number))
        }
    }
}

fn gather<K: Ord>(
    numbers: BTreeMap<K, usize>,
    groups: &mut Groups,
    homes: Vec<Option<usize>>,
) -> Vec<Part<K>> {
    let mut parts: BTreeMap<usize, Part<K>> = BTreeMap::new();
    for (key, number) in numbers {
        let part = parts.entry(groups.find(number)).or_insert_with(Part::empty);
        part.keys.push(key);
    }
    let mut alone = Vec::new();
    for (operation, home) in homes.into_iter().enumerate() {
        match home.and_then(|number| parts.get_mut(&groups.find(number))) {
            Some(part) => part.operations.push(operation),
            None => alone.push(Part { keys: Vec::new(), operations: vec![operation] }),
        }
    }
    parts.into_values().chain(alone).collect()
}

impl<K> Part<K> {
    const fn empty() -> Self {
        Self { keys: Vec::new(), operations: Vec::new() }
    }
}

/// Sets of numbers that can be joined (union-find). The name of a set is its least number.
struct Groups(Vec<usize>);

impl Groups {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn find(&mut self, number: usize) -> usize {
        let mut root = number;
        while let Some(parent) = self.0.get(root).filter(|parent| **parent != root) {
            root = *parent;
        }
        let mut at = number;
        while let Some(parent) = self.0.get_mut(at).filter(|parent| **parent != root) {
            at = std::mem::replace(parent, root);
        }
        root
    }

    /// Joins the sets of all these numbers and returns its name.
    fn join_all(&mut self, numbers: impl Iterator<Item = usize>) -> Option<usize> {
        numbers.fold(None, |joined, number| {
            let root = self.find(number);
            let (least, other) =
                joined.map_or((root, root), |joined: usize| (joined.min(root), joined.max(root)));
            if let Some(parent) = self.0.get_mut(other) {
                *parent = least;
            }
            Some(least)
        })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::Monotonic;

    use super::*;
    use crate::linearizability::Call;

    /// Touches what its input says.
    struct Touching;

    impl Model for Touching {
        type Input = Scope<u8>;
        type Output = ();
        type State = ();
        type Key = u8;

        fn scope(&self, input: &Scope<u8>) -> Scope<u8> {
            input.clone()
        }

        fn initial(&self, _: &[u8]) {}

        fn step(&self, (): &(), _: Call<'_, Scope<u8>, ()>, next: &mut Vec<()>) {
            next.push(());
        }
    }

    fn parts(scopes: &[Scope<u8>]) -> Vec<(Vec<u8>, Vec<usize>)> {
        let at = Monotonic::from_nanos(0);
        let history: Vec<_> =
            scopes.iter().map(|scope| Operation::answered(0, scope.clone(), at, at, ())).collect();
        split(&Touching, &history).into_iter().map(|part| (part.keys, part.operations)).collect()
    }

    use Scope::{One, Range, Several};

    #[test]
    fn keys_that_nobody_joins_are_apart() {
        assert_eq!(parts(&[One(2), One(1), One(2)]), [(vec![1], vec![1]), (vec![2], vec![0, 2])]);
    }

    #[test]
    fn joins_are_transitive_whatever_their_order() {
        let scopes = [One(4), Several(vec![3, 4]), One(9), Several(vec![1, 2]), Several(vec![4, 1]), One(2)];
        assert_eq!(parts(&scopes), [(vec![1, 2, 3, 4], vec![0, 1, 3, 4, 5]), (vec![9], vec![2])]);
    }

    #[test]
    fn a_range_joins_what_lies_in_it() {
        let scopes = [One(1), One(3), Range { from: 2, to: Some(5) }, One(4), One(5)];
        assert_eq!(parts(&scopes), [(vec![1], vec![0]), (vec![3, 4], vec![1, 2, 3]), (vec![5], vec![4])]);
        assert_eq!(parts(&[One(1), One(7), Range { from: 0, to: None }]), [(vec![1, 7], vec![0, 1, 2])]);
    }

    #[test]
    fn what_touches_no_key_is_alone() {
        let scopes = [Several(vec![]), One(1), Range { from: 5, to: Some(2) }];
        assert_eq!(parts(&scopes), [(vec![1], vec![1]), (vec![], vec![0]), (vec![], vec![2])]);
    }
}
