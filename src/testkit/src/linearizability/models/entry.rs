//! One item with a version and perhaps a TTL: what values and the entries of maps are.
//!
//! Versions are not known in advance. A write that was answered tells its version, which must be greater than that of
//! every earlier write of the item; one that was not has a version that is known only to be greater, until somebody
//! reads it.

use std::time::Duration;

use bytes::Bytes;
use synod_types::{ErrorCode, Monotonic};

use super::{Answer, ClockBound};

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Versioned {
    /// The bytes.
    pub value: Bytes,
    /// The version.
    pub version: u64,
}

/// What can be done to an item. An expected version of 0 expects nothing, but for a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryAction {
    /// Reads it.
    Get,
    /// Writes it, whatever was there: `set` of a value.
    Set {
        /// The bytes.
        value: Bytes,
        /// Its TTL, if it has one.
        ttl: Option<Duration>,
    },
    /// Writes it, with an expected version only if it has that: `put` of a map. Without a TTL, bytes that are there
    /// already change nothing.
    Put {
        /// The bytes.
        value: Bytes,
        /// Its TTL, if it has one.
        ttl: Option<Duration>,
        /// The version that it should have.
        expected: u64,
    },
    /// Writes it if it is not there.
    Insert {
        /// The bytes.
        value: Bytes,
        /// Its TTL, if it has one.
        ttl: Option<Duration>,
    },
    /// Writes it if it is there.
    Update {
        /// The bytes.
        value: Bytes,
        /// Its TTL, if it has one.
        ttl: Option<Duration>,
        /// The version that it should have.
        expected: u64,
    },
    /// Removes it.
    Remove {
        /// The version that it should have.
        expected: u64,
    },
    /// Requires that it has a version, or is not there if that is 0. Only within transactions.
    Check {
        /// The version that it should have.
        expected: u64,
    },
}

/// What an item answers when it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryAnswer {
    /// What was read.
    Found(Versioned),
    /// It is written, or was there already.
    Written {
        /// The version that it has now.
        version: u64,
        /// What was there before.
        previous: Option<Versioned>,
    },
    /// What was removed.
    Removed(Versioned),
    /// What was checked.
    Checked(Option<Versioned>),
}

impl EntryAction {
    /// Whether this action with this answer changes nothing, wherever it takes effect.
    pub(super) fn observes(&self, answer: Option<&Answer<EntryAnswer>>) -> bool {
        match (self, answer) {
            (Self::Get | Self::Check { .. }, _) | (_, Some(Err(_))) => true,
            (Self::Put { .. }, Some(Ok(EntryAnswer::Written { version, previous }))) => {
                previous.as_ref().is_some_and(|previous| previous.version == *version)
            }
            _ => false,
        }
    }

    const fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Set { ttl, .. }
            | Self::Put { ttl, .. }
            | Self::Insert { ttl, .. }
            | Self::Update { ttl, .. } => *ttl,
            Self::Get | Self::Remove { .. } | Self::Check { .. } => None,
        }
    }

    /// Whether two actions without an answer do the same. What has a TTL also depends on when it was sent.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self == other && self.ttl().is_none()
    }
}

/// What is known of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Known {
    Exactly(u64),
    AtLeast(u64),
}

impl Known {
    const fn may_be(self, version: u64) -> bool {
        match self {
            Self::Exactly(known) => known == version,
            Self::AtLeast(least) => least <= version,
        }
    }

    const fn may_differ_from(self, version: u64) -> bool {
        !matches!(self, Self::Exactly(known) if known == version)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item {
    value: Bytes,
    version: Known,
    /// If it has a TTL, when it ends at the earliest.
    ends: Option<Monotonic>,
}

/// The state of an item, which may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    item: Option<Item>,
    /// The least version that the last write can have had. Later ones are greater.
    floor: u64,
}

/// When an action takes effect, as far as that matters.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) clock: ClockBound,
    pub(super) invoked_at: Monotonic,
}

impl Entry {
    /// The entry as it is, and without its item if the TTL may be over by then.
    pub(super) fn by(&self, latest: Monotonic) -> impl Iterator<Item = Self> + use<> {
        let expired = self.may_have_ended(latest).then(|| Self { item: None, floor: self.floor });
        std::iter::once(self.clone()).chain(expired)
    }

    pub(super) fn may_have_ended(&self, latest: Monotonic) -> bool {
        self.item.as_ref().and_then(|item| item.ends).is_some_and(|ends| ends <= latest)
    }

    pub(super) const fn is_present(&self) -> bool {
        self.item.is_some()
    }

    /// The entry after everything was removed.
    pub(super) const fn cleared(&self) -> Self {
        Self { item: None, floor: self.floor }
    }

    /// The entry if its item may be this one.
    pub(super) fn showing(&self, shown: &Versioned) -> Option<Self> {
        let item = self.item.as_ref()?;
        if item.value != shown.value || !item.version.may_be(shown.version) {
            return None;
        }
        let item = Item { version: Known::Exactly(shown.version), ..item.clone() };
        Some(Self { item: Some(item), floor: self.floor.max(shown.version) })
    }

    /// The entry if what is there may be this, or may be nothing.
    fn showing_all(&self, shown: Option<&Versioned>) -> Option<Self> {
        match shown {
            Some(shown) => self.showing(shown),
            None => self.item.is_none().then(|| self.clone()),
        }
    }

    /// The entry if its item may have the version that is expected. 0 expects nothing, not even an item.
    fn having(&self, expected: u64) -> Option<Self> {
        if expected == 0 {
            return Some(self.clone());
        }
        let item = self.item.as_ref()?;
        let value = item.value.clone();
        self.showing(&Versioned { value, version: expected })
    }

    /// Whether the item may have another version than the expected one, or none.
    fn may_conflict_with(&self, expected: u64) -> bool {
        expected != 0 && self.item.as_ref().is_none_or(|item| item.version.may_differ_from(expected))
    }

    fn write(&self, action: &EntryAction, value: &Bytes, version: Known, when: When) -> Option<Self> {
        let floor = match version {
            Known::Exactly(version) if version <= self.floor => return None,
            Known::Exactly(version) | Known::AtLeast(version) => version,
        };
        let ends = action.ttl().map(|ttl| when.clock.earliest_end(when.invoked_at, ttl));
        Some(Self { item: Some(Item { value: value.clone(), version, ends }), floor })
    }

    fn write_unknown(&self, action: &EntryAction, value: &Bytes, when: When) -> Option<Self> {
        self.write(action, value, Known::AtLeast(self.floor.saturating_add(1)), when)
    }

    fn holds(&self, value: &Bytes) -> bool {
        self.item.as_ref().is_some_and(|item| item.value == *value)
    }

    /// The entry after an action that was answered like this, or none if it cannot have been.
    pub(super) fn answered(
        &self,
        action: &EntryAction,
        answer: &Answer<EntryAnswer>,
        when: When,
    ) -> Option<Self> {
        match answer {
            Ok(answer) => self.accepted(action, answer, when),
            Err(code) => self.may_refuse(action, *code).then(|| self.clone()),
        }
    }

    fn may_refuse(&self, action: &EntryAction, code: ErrorCode) -> bool {
        match (action, code) {
            (EntryAction::Put { expected, .. }, ErrorCode::Conflict) => self.may_conflict_with(*expected),
            (EntryAction::Insert { .. }, ErrorCode::AlreadyExists) => self.is_present(),
            (
                EntryAction::Get | EntryAction::Update { .. } | EntryAction::Remove { .. },
                ErrorCode::NotFound,
            ) => !self.is_present(),
            (
                EntryAction::Update { expected, .. } | EntryAction::Remove { expected },
                ErrorCode::Conflict,
            ) => self.is_present() && self.may_conflict_with(*expected),
            (EntryAction::Check { expected: 0 }, ErrorCode::Conflict) => self.is_present(),
            (EntryAction::Check { expected }, ErrorCode::Conflict) => self.may_conflict_with(*expected),
            _ => false,
        }
    }

    fn accepted(&self, action: &EntryAction, answer: &EntryAnswer, when: When) -> Option<Self> {
        match (action, answer) {
            (EntryAction::Get, EntryAnswer::Found(found)) => self.showing(found),
            (EntryAction::Remove { expected }, EntryAnswer::Removed(removed)) => {
                Some(self.showing(removed)?.having(*expected)?.cleared())
            }
            (EntryAction::Check { expected: 0 }, EntryAnswer::Checked(None)) => self.showing_all(None),
            (EntryAction::Check { expected }, EntryAnswer::Checked(Some(found))) if *expected != 0 => {
                self.showing(found)?.having(*expected)
            }
            (
                EntryAction::Set { value, .. }
                | EntryAction::Put { value, .. }
                | EntryAction::Insert { value, .. }
                | EntryAction::Update { value, .. },
                EntryAnswer::Written { version, previous },
            ) => self.written(action, value, *version, previous.as_ref(), when),
            _ => None,
        }
    }

    fn written(
        &self,
        action: &EntryAction,
        value: &Bytes,
        version: u64,
        previous: Option<&Versioned>,
        when: When,
    ) -> Option<Self> {
        let before = match action {
            EntryAction::Insert { .. } if self.is_present() || previous.is_some() => return None,
            // An insert does not tell what was there, which was nothing.
            EntryAction::Insert { .. } => self.clone(),
            EntryAction::Update { expected, .. } => self.showing(previous?)?.having(*expected)?,
            EntryAction::Put { expected, .. } => self.showing_all(previous)?.having(*expected)?,
            _ => self.showing_all(previous)?,
        };
        let keeps = matches!(action, EntryAction::Put { ttl: None, .. }) && before.holds(value);
        if keeps {
            return (previous?.version == version).then_some(before);
        }
        before.write(action, value, Known::Exactly(version), when)
    }

    /// The entry after an action that was accepted and whose answer is not known; none if it must have been refused.
    pub(super) fn unanswered(&self, action: &EntryAction, when: When) -> Option<Self> {
        if !self.allows(action) {
            return None;
        }
        match action {
            EntryAction::Get | EntryAction::Check { expected: 0 } => Some(self.clone()),
            EntryAction::Check { expected } => self.having(*expected),
            EntryAction::Remove { expected } => Some(self.having(*expected)?.cleared()),
            EntryAction::Set { value, .. } | EntryAction::Insert { value, .. } => {
                self.write_unknown(action, value, when)
            }
            EntryAction::Update { value, expected, .. } => {
                self.having(*expected)?.write_unknown(action, value, when)
            }
            EntryAction::Put { value, ttl, expected } => {
                let before = self.having(*expected)?;
                let keeps = ttl.is_none() && before.holds(value);
                if keeps { Some(before) } else { before.write_unknown(action, value, when) }
            }
        }
    }

    /// Whether an action may be accepted.
    pub(super) fn allows(&self, action: &EntryAction) -> bool {
        match action {
            EntryAction::Get | EntryAction::Set { .. } => true,
            EntryAction::Put { expected, .. } => self.having(*expected).is_some(),
            EntryAction::Insert { .. } | EntryAction::Check { expected: 0 } => !self.is_present(),
            EntryAction::Update { expected, .. } | EntryAction::Remove { expected } => {
                self.is_present() && self.having(*expected).is_some()
            }
            EntryAction::Check { expected } => self.having(*expected).is_some(),
        }
    }
}
