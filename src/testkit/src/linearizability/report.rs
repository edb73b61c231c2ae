//! What a check has found.

use std::fmt::{self, Debug, Write as _};

use super::operation::Operation;

/// How many of the operations that were placed last an explanation shows.
const SHOWN_MAX: usize = 12;

/// The result of a check, partition by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many operations the history has.
    pub operations: usize,
    /// Into how many partitions it fell.
    pub partitions: usize,
    /// How many of them are linearizable.
    pub linearizable: usize,
    /// Those that are not.
    pub violations: Vec<Violation>,
    /// Those for which the budget was too small.
    pub unknown: Vec<Undecided>,
    /// How often the model was asked.
    pub steps: u64,
    /// How many configurations were entered.
    pub configurations: u64,
}

/// What a check says of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// There is an order of the operations that explains everything.
    Linearizable,
    /// There is none; for each partition in which there is none, why.
    NotLinearizable(&'a [Violation]),
    /// None was found, and none was ruled out, within the budget; the partitions for which that is so.
    Unknown(&'a [Undecided]),
}

impl Report {
    /// The verdict on the whole history. One partition that is not linearizable settles it.
    pub fn verdict(&self) -> Verdict<'_> {
        if !self.violations.is_empty() {
            Verdict::NotLinearizable(&self.violations)
        } else if !self.unknown.is_empty() {
            Verdict::Unknown(&self.unknown)
        } else {
            Verdict::Linearizable
        }
    }

    /// Whether the whole history is certainly linearizable.
    pub fn is_linearizable(&self) -> bool {
        self.verdict() == Verdict::Linearizable
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} operations in {} partitions: {} linearizable, {} not, {} unknown ({} steps, {} configurations)",
            self.operations,
            self.partitions,
            self.linearizable,
            self.violations.len(),
            self.unknown.len(),
            self.steps,
            self.configurations,
        )?;
        for violation in &self.violations {
            write!(f, "{violation}")?;
        }
        for Undecided { keys, operations } in &self.unknown {
            writeln!(f, "unknown: {operations} operations on {keys}")?;
        }
        Ok(())
    }
}

/// A partition for which the budget was too small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Its keys.
    pub keys: String,
    /// How many operations it has.
    pub operations: usize,
}

/// How far a history can be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) placed: Vec<usize>,
    pub(super) culprit: usize,
    pub(super) unplaced: Vec<usize>,
    pub(super) state: String,
}

/// Why a partition is not linearizable. Operations are named by their places in the history.
///
/// Everything that had returned before the culprit did can be explained: `placed` is an order that does so. No order
/// explains the answer of the culprit as well. If it went beyond the budget to find out which operation is the first,
/// some that returned later is named, and the order explains less.
/// The [`Display`](fmt::Display) shows the end of that order, the state after it, and what does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The keys of the partition.
    pub keys: String,
    /// How many operations the partition has.
    pub operations: usize,
    /// An order of operations that explains all that returned before the culprit. The culprit is among them if others
    /// saw its effect.
    pub placed: Vec<usize>,
    /// The first operation to return with an answer that no order explains.
    pub culprit: usize,
    /// What was on its way when the culprit returned and has no place in that order, the culprit included.
    pub unplaced: Vec<usize>,
    text: String,
}

impl Violation {
    pub(super) fn new<I: Debug, O: Debug>(
        keys: String,
        operations: usize,
        history: &[Operation<I, O>],
        explanation: Explanation,
    ) -> Self {
        let Explanation { placed, culprit, unplaced, state } = explanation;
        let text = text(history, &placed, culprit, &unplaced, &state);
        Self { keys, operations, placed, culprit, unplaced, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not linearizable: {} operations on {}", self.operations, self.keys)?;
        f.write_str(&self.text)
    }
}

fn text<I: Debug, O: Debug>(
    history: &[Operation<I, O>],
    placed: &[usize],
    culprit: usize,
    unplaced: &[usize],
    state: &str,
) -> String {
    let mut text = String::new();
    let mut line = |mark: &str, place: usize| {
        let Some(operation) = history.get(place) else { return };
        // Writing to a string cannot fail.
        let _ = match &operation.returned {
            Some((returned_at, output)) => writeln!(
                text,
                "  {mark} #{place} client {} [{:?}, {returned_at:?}] {:?} -> {output:?}",
                operation.client, operation.invoked_at, operation.input
            ),
            None => writeln!(
                text,
                "  {mark} #{place} client {} [{:?}, never answered] {:?}",
                operation.client, operation.invoked_at, operation.input
            ),
        };
    };
    for place in placed.iter().skip(placed.len().saturating_sub(SHOWN_MAX)) {
        line("placed ", *place);
    }
    for place in unplaced {
        line(if *place == culprit { "CULPRIT" } else { "waiting" }, *place);
    }
    format!("{} placed in all; the last ones, and what cannot follow:\n{text}  state {state}\n", placed.len())
}
