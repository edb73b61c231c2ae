//! The map: an item for each key, and what concerns several keys of one partition.
//!
//! A transaction joins the keys that it names; a clear, a listing or a length joins all keys of its shard, which is far
//! more expensive to judge.

use std::collections::{BTreeMap, BTreeSet};

use synod_types::{ErrorCode, Monotonic};

use super::entry::{Entry, When};
use super::{Answer, ClockBound, EntryAction, EntryAnswer, ItemKey, Shard, Versioned};
use crate::linearizability::model::{Call, Model, Scope};

/// What can be done to a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Something to one key: get, put, insert, update or remove.
    One(String, EntryAction),
    /// All of these or none: put, insert, update, remove or check.
    Transact(Vec<(String, EntryAction)>),
    /// Counts the entries.
    Len,
    /// Removes all entries.
    Clear,
    /// Lists the entries whose keys start with this.
    List(String),
}

/// An action on the part of a map that is on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which part.
    pub shard: Shard,
    /// What is done to it.
    pub action: Action,
}

/// What a map answers when it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of one key.
    One(EntryAnswer),
    /// Of a transaction, in the order of the request.
    Transacted(Vec<EntryAnswer>),
    /// How many entries there are, or were removed.
    Count(u64),
    /// The entries, in the order of their keys.
    Listed(Vec<(String, Versioned)>),
}

/// The state of the keys of one partition of the history. A key that is not in it was never written.
pub type Entries = BTreeMap<String, Entry>;

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct MapModel {
    /// How far the clock that ends TTLs can be trusted.
    pub clock: ClockBound,
}

impl Model for MapModel {
    type Input = Input;
    type Output = Answer<Output>;
    type State = Entries;
    type Key = ItemKey;

    fn scope(&self, input: &Input) -> Scope<ItemKey> {
        match &input.action {
            Action::One(key, _) => Scope::One(input.shard.item(key)),
            Action::Transact(parts) => {
                Scope::Several(parts.iter().map(|(key, _)| input.shard.item(key)).collect())
            }
            Action::Len | Action::Clear | Action::List(_) => input.shard.everything(),
        }
    }

    fn initial(&self, _: &[ItemKey]) -> Entries {
        Entries::new()
    }

    fn step(&self, state: &Entries, call: Call<'_, Input, Answer<Output>>, next: &mut Vec<Entries>) {
        let when = When { clock: self.clock, invoked_at: call.invoked_at };
        match &call.input.action {
            Action::One(key, action) => next.extend(one(state, key, action, call, when)),
            Action::Transact(parts) => {
                let keys: BTreeSet<_> = parts.iter().map(|(key, _)| key.as_str()).collect();
                for before in by(state, keys, call.latest) {
                    next.extend(transact(&before, parts, call.output, when));
                }
            }
            Action::Len => next.extend(counted(state, call.output, call.latest).then(|| state.clone())),
            Action::Clear if counted(state, call.output, call.latest) => {
                next.push(state.iter().map(|(key, entry)| (key.clone(), entry.cleared())).collect());
            }
            Action::Clear => {}
            Action::List(prefix) => next.extend(listed(state, prefix, call)),
        }
    }

    fn observes(&self, input: &Input, output: Option<&Answer<Output>>) -> bool {
        match (&input.action, output) {
            (Action::Len | Action::List(_), _) | (_, Some(Err(_))) => true,
            (Action::One(_, action), Some(Ok(Output::One(answer)))) => {
                action.observes(Some(&Ok(answer.clone())))
            }
            (Action::One(_, action), None) => action.observes(None),
            (Action::Transact(parts), None) => parts.iter().all(|(_, action)| action.observes(None)),
            _ => false,
        }
    }

    fn alike(&self, one: &Input, other: &Input) -> bool {
        match (&one.action, &other.action) {
            (Action::One(key, action), Action::One(other_key, other)) => {
                key == other_key && action.is_alike(other)
            }
            (Action::Clear, Action::Clear) => true,
            (Action::Transact(parts), Action::Transact(others)) => {
                parts.len() == others.len()
                    && parts
                        .iter()
                        .zip(others)
                        .all(|(one, other)| one.0 == other.0 && one.1.is_alike(&other.1))
            }
            _ => false,
        }
    }
}

fn entry(state: &Entries, key: &str) -> Entry {
    state.get(key).cloned().unwrap_or_default()
}

fn with(state: &Entries, key: &str, entry: Entry) -> Entries {
    let mut state = state.clone();
    // A key that was never written is not in the state, so that equal states look alike.
    if entry != Entry::default() || state.contains_key(key) {
        state.insert(key.to_owned(), entry);
    }
    state
}

fn one(
    state: &Entries,
    key: &str,
    action: &EntryAction,
    call: Call<'_, Input, Answer<Output>>,
    when: When,
) -> Vec<Entries> {
    let answer = match call.output {
        None => None,
        Some(Ok(Output::One(answer))) => Some(Ok(answer.clone())),
        Some(Err(code)) => Some(Err(*code)),
        Some(Ok(_)) => return Vec::new(),
    };
    let after = entry(state, key).by(call.latest).filter_map(|entry| match &answer {
        Some(answer) => entry.answered(action, answer, when),
        None => entry.unanswered(action, when),
    });
    after.map(|entry| with(state, key, entry)).collect()
}

/// The state as it is, and with any of these keys gone whose TTLs may be over by then.
fn by(state: &Entries, keys: BTreeSet<&str>, latest: Monotonic) -> Vec<Entries> {
    let ended =
        keys.into_iter().filter(|key| state.get(*key).is_some_and(|entry| entry.may_have_ended(latest)));
    let mut states = vec![state.clone()];
    for key in ended {
        let gone: Vec<_> = states.iter().map(|state| with(state, key, entry(state, key).cleared())).collect();
        states.extend(gone);
    }
    states
}

/// Judges every operation by what was there before the transaction, as the map does.
fn transact(
    before: &Entries,
    parts: &[(String, EntryAction)],
    output: Option<&Answer<Output>>,
    when: When,
) -> Option<Entries> {
    match output {
        Some(Ok(Output::Transacted(answers))) => transacted(before, parts, answers, when),
        Some(Err(code)) => may_refuse(before, parts, *code, when).then(|| before.clone()),
        Some(Ok(_)) => None,
        None => {
            let mut after = before.clone();
            let mut used = BTreeSet::new();
            for (key, action) in parts {
                let written = entry(before, key).unanswered(action, when)?;
                if !used.insert(key) {
                    return None;
                }
                after = with(&after, key, written);
            }
            Some(after)
        }
    }
}

fn transacted(
    before: &Entries,
    parts: &[(String, EntryAction)],
    answers: &[EntryAnswer],
    when: When,
) -> Option<Entries> {
    if parts.len() != answers.len() {
        return None;
    }
    let mut after = before.clone();
    let (mut used, mut written) = (BTreeSet::new(), None);
    for ((key, action), answer) in parts.iter().zip(answers) {
        let answer = Ok(answer.clone());
        let entry = entry(before, key).answered(action, &answer, when)?;
        if !used.insert(key) {
            return None;
        }
        // One command, one version for all that it wrote.
        if let Ok(EntryAnswer::Written { version, .. }) = &answer
            && !action.observes(Some(&answer))
            && *written.get_or_insert(*version) != *version
        {
            return None;
        }
        after = with(&after, key, entry);
    }
    Some(after)
}

/// The first operation that is refused decides; one whose key was used before is refused with `Conflict`.
fn may_refuse(before: &Entries, parts: &[(String, EntryAction)], code: ErrorCode, when: When) -> bool {
    let mut used = BTreeSet::new();
    for (key, action) in parts {
        let found = entry(before, key);
        if found.answered(action, &Err(code), when).is_some() {
            return true;
        }
        if !found.allows(action) {
            return false;
        }
        if !used.insert(key) {
            return code == ErrorCode::Conflict;
        }
    }
    false
}

/// Whether the map may have this many entries.
fn counted(state: &Entries, output: Option<&Answer<Output>>, latest: Monotonic) -> bool {
    let most = state.values().filter(|entry| entry.is_present()).count() as u64;
    let ended = state.values().filter(|entry| entry.may_have_ended(latest)).count() as u64;
    match output {
        None => true,
        Some(Ok(Output::Count(count))) => (most - ended..=most).contains(count),
        Some(_) => false,
    }
}

fn listed(state: &Entries, prefix: &str, call: Call<'_, Input, Answer<Output>>) -> Option<Entries> {
    let Some(Ok(Output::Listed(entries))) = call.output else { return None };
    let shown: BTreeMap<_, _> = entries.iter().map(|(key, shown)| (key.as_str(), shown)).collect();
    let in_order = shown.keys().copied().eq(entries.iter().map(|(key, _)| key.as_str()));
    let known = shown.keys().all(|key| key.starts_with(prefix) && state.contains_key(*key));
    if !in_order || !known {
        return None;
    }
    let mut after = state.clone();
    for (key, entry) in state.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let entry = match shown.get(key.as_str()) {
            Some(shown) => entry.showing(shown)?,
            None if entry.is_present() && !entry.may_have_ended(call.latest) => return None,
            None => entry.cleared(),
        };
        after.insert(key.clone(), entry);
    }
    Some(after)
}
