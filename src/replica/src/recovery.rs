//! What a replica makes of the snapshot and the log that it finds when it starts.

use synod_protocol::raft::Start;
use synod_protocol::{Entry, HardState, SnapshotMetadata};
use synod_types::{Error, ErrorCode, LogIndex, Term};

/// What is on disk.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The newest snapshot.
    pub snapshot: Option<SnapshotMetadata>,
    /// The last hard state in the log.
    pub hard_state: Option<HardState>,
    /// The snapshot after which the log was begun anew.
    pub mark: Option<(LogIndex, Term)>,
    /// The entries behind the mark.
    pub entries: Vec<Entry>,
}

/// What to start from.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// For the protocol.
    pub start: Start,
    /// The log has to be begun anew after the snapshot before anything else is written: the replica crashed between
    /// taking over a snapshot and noting that.
    pub begin_anew: bool,
}

/// Fits snapshot and log together.
///
/// # Errors
/// [`ErrorCode::Corrupt`] when they contradict each other: then something that was durable is gone, and the replica
/// must not take part.
pub fn recover(found: Found) -> Result<Recovered, Error> {
    let corrupt = |what: String| Err(Error::new(ErrorCode::Corrupt, what));
    let Found { snapshot, hard_state, mark, entries } = found;
    let hard_state = hard_state.unwrap_or_default();
    let Some(snapshot) = snapshot else {
        // A replica that joins knows terms and votes before it has its first snapshot, and nothing else.
        if mark.is_some() || !entries.is_empty() {
            return corrupt("there is a log, but the snapshot that it follows is gone".to_owned());
        }
        return Ok(Recovered { start: Start { hard_state, ..Start::default() }, begin_anew: false });
    };
    if let Some((index, _)) = mark
        && index > snapshot.index
    {
        return corrupt(format!(
            "the log follows a snapshot at {index}, but the newest one there is stands at {}",
            snapshot.index
        ));
    }
    let reaches = entries.last().is_some_and(|last| last.index >= snapshot.index)
        || mark == Some((snapshot.index, snapshot.term));
    let agrees = |entry: &Entry| entry.index != snapshot.index || entry.term == snapshot.term;
    if !reaches || !entries.iter().all(agrees) {
        // The log ends before the snapshot or has other entries there: the snapshot came from the leader, who
        // knows better, and the log is obsolete.
        let start = Start { hard_state, snapshot, entries: Vec::new() };
        return Ok(Recovered { start, begin_anew: true });
    }
    let entries: Vec<_> = entries.into_iter().filter(|entry| entry.index > snapshot.index).collect();
    let mut expected = snapshot.index.next();
    for entry in &entries {
        if entry.index != expected {
            return corrupt(format!("log entry {expected} is missing"));
        }
        expected = expected.next();
    }
    Ok(Recovered { start: Start { hard_state, snapshot, entries }, begin_anew: false })
}

#[cfg(test)]
mod tests {
    use synod_protocol::{EntryKind, Membership};

    use super::*;

    fn snapshot(index: u64, term: u64) -> SnapshotMetadata {
        SnapshotMetadata { index: LogIndex(index), term: Term(term), membership: Membership::default() }
    }

    fn entries(range: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
        let entry = |index| Entry {
            term: Term(term),
            index: LogIndex(index),
            kind: EntryKind::Normal,
            data: bytes::Bytes::new(),
        };
        range.map(entry).collect()
    }

    fn indexes(recovered: &Recovered) -> Vec<u64> {
        recovered.start.entries.iter().map(|entry| entry.index.get()).collect()
    }

    #[test]
    fn what_the_snapshot_includes_is_left_out() {
        let found = Found { snapshot: Some(snapshot(5, 2)), entries: entries(3..=8, 2), ..Found::default() };
        let recovered = recover(found).unwrap();
        assert_eq!(indexes(&recovered), [6, 7, 8]);
        assert!(!recovered.begin_anew);
    }

    #[test]
    fn a_genesis_without_a_log_is_a_start() {
        let found =
            Found { snapshot: Some(snapshot(1, 1)), mark: Some((LogIndex(1), Term(1))), ..Found::default() };
        assert!(!recover(found).unwrap().begin_anew);
    }

    #[test]
    fn a_log_that_the_leader_has_overruled_is_begun_anew() {
        let shorter =
            Found { snapshot: Some(snapshot(9, 3)), entries: entries(3..=8, 2), ..Found::default() };
        let other = Found { snapshot: Some(snapshot(5, 3)), entries: entries(3..=8, 2), ..Found::default() };
        for found in [shorter, other] {
            let recovered = recover(found).unwrap();
            assert!(recovered.begin_anew);
            assert!(indexes(&recovered).is_empty());
        }
    }

    #[test]
    fn what_contradicts_itself_is_corrupt() {
        let no_snapshot = Found { entries: entries(2..=3, 1), ..Found::default() };
        let lost_snapshot = Found {
            snapshot: Some(snapshot(5, 2)),
            mark: Some((LogIndex(7), Term(2))),
            entries: entries(8..=9, 2),
            ..Found::default()
        };
        let gap = Found { snapshot: Some(snapshot(5, 2)), entries: entries(7..=9, 2), ..Found::default() };
        for found in [no_snapshot, lost_snapshot, gap] {
            assert_eq!(recover(found.clone()).unwrap_err().code(), ErrorCode::Corrupt, "{found:?}");
        }
    }

    #[test]
    fn a_replica_that_joins_may_know_a_term_and_nothing_else() {
        let hard_state = HardState { term: Term(7), ..HardState::default() };
        let recovered = recover(Found { hard_state: Some(hard_state), ..Found::default() }).unwrap();
        assert_eq!(recovered.start.hard_state, hard_state);
    }
}
