//! The verdict on a run.

use std::collections::BTreeMap;

use synod_testkit::linearizability::models::primitives::{Input, Output, PrimitivesModel};
use synod_testkit::linearizability::models::{ClockBound, EntryAnswer, ItemKey, counter, map};
use synod_testkit::linearizability::{Budget, check};
use synod_testkit::oracle;
use synod_types::{PartitionId, PrimitiveId};

use crate::record::Op;

/// What was written for certain, for comparison with what watchers saw.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// For each counter how many increments were acknowledged, and how many have an outcome that is not known.
    pub(crate) increments: BTreeMap<PrimitiveId, (i64, i64)>,
    /// The versions of the writes of the map that were acknowledged, with their keys.
    pub(crate) versions: BTreeMap<(PartitionId, u64), String>,
    /// How many writes of the map have an outcome that is not known.
    pub(crate) unknown_puts: u64,
}

/// Judges what the writers saw. Every counter must have been read at the end.
pub(crate) fn judge(history: &[Op]) -> Acknowledged {
    let report = check(&PrimitivesModel::new(ClockBound::default()), history, Budget::default()).unwrap();
    assert!(report.is_linearizable(), "{report}");
    println!(
        "{} operations, {} of unknown outcome, are linearizable: {} partitions, {} steps",
        history.len(),
        history.iter().filter(|operation| operation.returned.is_none()).count(),
        report.partitions,
        report.steps
    );
    count_exactly_once(history);
    judge_versions(history);
    acknowledged(history)
}

fn count_exactly_once(history: &[Op]) {
    let mut counters: BTreeMap<PrimitiveId, oracle::counter::History> = BTreeMap::new();
    let mut last_read = BTreeMap::new();
    for operation in history {
        let Input::Counter(counter::Input { counter, action }) = &operation.input else { continue };
        let history = counters.entry(*counter).or_default();
        let answered = match &operation.returned {
            Some((at, Output::Counter(Ok(number)))) => Some((*at, number.value)),
            _ => None,
        };
        let invoked_at = operation.invoked_at;
        match (action, answered) {
            (counter::Action::Increment(delta), _) => {
                history.changes.push(oracle::counter::Change { delta: *delta, invoked_at, answered });
            }
            (_, Some((returned_at, value))) => {
                history.reads.push(oracle::counter::Read { value, invoked_at, returned_at });
                last_read.insert(*counter, value);
            }
            _ => {}
        }
    }
    for (counter, history) in &counters {
        assert_eq!(oracle::counter::violations(history), [], "counter {:x}", counter.get());
        let answered = history.changes.iter().filter(|change| change.answered.is_some()).count() as i64;
        let all = history.changes.len() as i64;
        let value = last_read[counter];
        assert!((answered..=all).contains(&value), "{value}: {answered} acknowledged, {all} sent");
    }
}

fn judge_versions(history: &[Op]) {
    let mut partitions: BTreeMap<PartitionId, oracle::version::History<String>> = BTreeMap::new();
    for operation in history {
        let Input::Map(map::Input { shard, action: map::Action::One(key, _) }) = &operation.input else {
            continue;
        };
        let entry = partitions.entry(shard.partition);
        let part = entry.or_insert_with(|| oracle::version::History {
            writes: Vec::new(),
            reads: Vec::new(),
            is_complete: true,
        });
        let (key, invoked_at) = (key.clone(), operation.invoked_at);
        match &operation.returned {
            None => part.is_complete = false,
            Some((returned_at, Output::Map(Ok(map::Output::One(answer))))) => match answer {
                EntryAnswer::Written { version, previous } => part.writes.push(oracle::version::Write {
                    key,
                    version: *version,
                    previous: Some(previous.as_ref().map_or(0, |previous| previous.version)),
                    invoked_at,
                    returned_at: *returned_at,
                }),
                EntryAnswer::Found(found) => part.reads.push(oracle::version::Read {
                    key,
                    version: found.version,
                    invoked_at,
                    returned_at: *returned_at,
                }),
                _ => {}
            },
            Some(_) => {}
        }
    }
    for (partition, part) in &partitions {
        assert_eq!(oracle::version::violations(part), [], "partition {partition}");
    }
}

fn acknowledged(history: &[Op]) -> Acknowledged {
    let mut all = Acknowledged::default();
    for operation in history {
        match (&operation.input, operation.output()) {
            (Input::Counter(counter::Input { counter, action: counter::Action::Increment(1) }), output) => {
                let (known, unknown) = all.increments.entry(*counter).or_default();
                *(if output.is_some() { known } else { unknown }) += 1;
            }
            (
                Input::Map(map::Input { shard, action: map::Action::One(key, _) }),
                Some(Output::Map(Ok(map::Output::One(EntryAnswer::Written { version, .. })))),
            ) => {
                let ItemKey { shard, key } = shard.item(key.clone());
                all.versions.insert((shard.partition, *version), key);
            }
            (Input::Map(_), None) => all.unknown_puts += 1,
            _ => {}
        }
    }
    all
}
