//! The check of a whole history.

use std::time::{Duration, Instant};

use super::model::Model;
use super::operation::{MalformedHistory, Operation};
use super::partition;
use super::report::{Report, Undecided, Violation};
use super::search::Outcome;
use super::trial::Trial;

/// How much a check may cost. What is not decided within it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most steps of the model for one partition of the history.
    pub steps: u64,
    /// The most configurations that are remembered for one partition of the history: its memory.
    pub configurations: u64,
    /// The longest time for the whole history. Without it the report depends on nothing but the history.
    pub duration: Option<Duration>,
}

impl Default for Budget {
    /// A few seconds and less than 1 GiB for a partition, and no limit in time.
    fn default() -> Self {
        Self { steps: 50_000_000, configurations: 2_000_000, duration: None }
    }
}

/// Judges a history by a model.
///
/// # Errors
/// [`MalformedHistory`] when an operation returned before it was invoked.
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Input, M::Output>],
    budget: Budget,
) -> Result<Report, MalformedHistory> {
    for (index, operation) in history.iter().enumerate() {
        let invoked_at = operation.invoked_at;
        if let Some(returned_at) = operation.returned_at().filter(|returned_at| *returned_at < invoked_at) {
            return Err(MalformedHistory { index, invoked_at, returned_at });
        }
    }
    let deadline = budget.duration.map(|duration| Instant::now() + duration);
    let mut report = Report { operations: history.len(), ..Report::default() };
    for part in partition::split(model, history) {
        let keys = format!("{:?}", part.keys);
        let operations = part.operations.len();
        report.partitions += 1;
        let mut trial = Trial { model, history, part: &part, budget, deadline, report: &mut report };
        match trial.run(None).0 {
            Outcome::Linearizable => report.linearizable += 1,
            Outcome::NotLinearizable => {
                let explanation = trial.explain();
                report.violations.push(Violation::new(keys, operations, history, explanation));
            }
            Outcome::Undecided => report.unknown.push(Undecided { keys, operations }),
        }
    }
    Ok(report)
}
