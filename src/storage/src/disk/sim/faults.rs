//! Which operations of the simulated disk fail, and when.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::random::SplitMix64;
use crate::disk::{DiskErrorKind, Operation};

/// When a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once, at the n-th operation that matches from now on; 1 is the next one.
    Nth(u64),
    /// At every operation that matches, this often in a million.
    Chance {
        /// 1 000 000 is always.
        per_million: u32,
    },
}

/// Operations that are to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// Which operation.
    pub operation: Operation,
    /// Only on this path and below it; everywhere if there is none.
    pub below: Option<PathBuf>,
    /// The error that it gets.
    pub kind: DiskErrorKind,
    /// When.
    pub trigger: Trigger,
}

/// The rules in force, and what was counted.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    counts: BTreeMap<Operation, u64>,
    failures: BTreeMap<Operation, u64>,
    /// How many changes the disk still makes before its power goes.
    power_left: Option<u64>,
    changes: u64,
}

/// Whether an operation changes what is on the disk.
const fn changes(operation: Operation) -> bool {
    match operation {
        Operation::Create
        | Operation::Write
        | Operation::SyncData
        | Operation::Rename
        | Operation::Remove
        | Operation::CreateDir
        | Operation::SyncDir => true,
        Operation::Open | Operation::Read | Operation::Size | Operation::List | Operation::Lock => false,
    }
}

impl Faults {
    pub(super) fn inject(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn power_off_after(&mut self, changes: u64) {
        self.power_left = Some(changes);
    }

    pub(super) fn has_no_power(&self) -> bool {
        self.power_left == Some(0)
    }

    pub(super) fn power_on(&mut self) {
        self.power_left = None;
    }

    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn failures(&self, operation: Operation) -> u64 {
        self.failures.get(&operation).copied().unwrap_or(0)
    }

    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the power is off, before or with this operation.
    pub(super) fn is_off(&mut self, operation: Operation) -> bool {
        let off = self.power_left == Some(0);
        if !off && changes(operation) {
            self.changes += 1;
            self.power_left = self.power_left.map(|left| left - 1);
        }
        off
    }

    /// Counts an operation, and says how it fails, if it does.
    pub(super) fn strike(
        &mut self,
        operation: Operation,
        path: &Path,
        random: &mut SplitMix64,
    ) -> Option<DiskErrorKind> {
        *self.counts.entry(operation).or_default() += 1;
        let mut struck = None;
        self.rules.retain_mut(|rule| {
            let below = rule.below.as_ref().is_none_or(|below| path.starts_with(below));
            if struck.is_some() || rule.operation != operation || !below {
                return true;
            }
            match &mut rule.trigger {
                Trigger::Nth(left) if *left > 1 => {
                    *left -= 1;
                    true
                }
                Trigger::Nth(_) => {
                    struck = Some(rule.kind);
                    false
                }
                Trigger::Chance { per_million } => {
                    struck = random.chance(*per_million).then_some(rule.kind);
                    true
                }
            }
        });
        if struck.is_some() {
            *self.failures.entry(operation).or_default() += 1;
        }
        struck
    }
}
