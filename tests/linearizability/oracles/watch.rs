//! What watchers receive.

use bytes::Bytes;
use synod_testkit::oracle::watch::{
    Change, Event, Filter, Keys, Received, Violation, Watcher, history_violations, violations,
};

/// Changes 1 to 4 of keys a, b, a, b.
fn log() -> Vec<Change<u64>> {
    let key = |position: u64| Bytes::from_static(if position % 2 == 1 { b"a" } else { b"b" });
    let change = |position| Change {
        position,
        index: position * 10,
        primitive: 1,
        key: key(position),
        event: position,
    };
    (1..=4).map(change).collect()
}

fn events(positions: &[u64], position: u64) -> Received<u64> {
    let event = |position: &u64| Event { position: *position, index: position * 10, event: *position };
    Received::Delivered { events: positions.iter().map(event).collect(), position }
}

fn judge(received: Vec<Received<u64>>) -> Vec<Violation> {
    let filter = Filter { primitive: 1, keys: Keys::Exactly(Bytes::from_static(b"a")) };
    violations(&log(), &Watcher { filter, received, caught_up_to: Some(4) })
}

fn started(after: u64, position: u64) -> Received<u64> {
    Received::Started { after, position }
}

#[test]
fn every_change_once_in_order_also_over_several_streams() {
    assert_eq!(judge(vec![started(0, 0), events(&[1, 3], 4)]), []);
    assert_eq!(judge(vec![started(0, 0), events(&[1], 2), started(2, 2), events(&[3], 4)]), []);
    let told = vec![started(0, 0), Received::Compacted, Received::Restated { position: 3 }, started(3, 3)];
    assert_eq!(judge(told), [], "what is missed is told");
}

#[test]
fn whatever_is_wrong_is_named() {
    let start = || started(0, 0);
    for (received, expected) in [
        (vec![start(), events(&[3], 4)], Violation::Gap { step: 1, missing: 1 }),
        (vec![start(), events(&[1, 1, 3], 4)], Violation::Duplicate { step: 1, position: 1 }),
        (vec![start(), events(&[1, 2, 3], 4)], Violation::NotAsked { step: 1, position: 2 }),
        (vec![start(), events(&[1], 4)], Violation::ProgressAhead { step: 1, position: 4, missing: 3 }),
        (vec![start(), events(&[1], 2)], Violation::Missing { missing: 3 }),
        (vec![events(&[1, 3], 4)], Violation::NotStarted { step: 0 }),
        (
            vec![start(), events(&[1], 1), started(1, 3), events(&[], 4)],
            Violation::StartedElsewhere { step: 2, after: 1, position: 3 },
        ),
    ] {
        let found = judge(received.clone());
        assert!(found.contains(&expected), "{received:?}: {found:?}");
    }
}

#[test]
fn a_history_with_a_hole_is_none() {
    assert_eq!(history_violations(&log()), []);
    let mut holed = log();
    holed.remove(1);
    assert_eq!(history_violations(&holed), [Violation::History { place: 1, position: 3, index: 30 }]);
}

#[test]
fn an_unchanged_partition_can_be_watched_from_where_it_stands() {
    let judge = |position| {
        let filter = Filter { primitive: 1, keys: Keys::All };
        let received = vec![started(0, 7), events(&[], position)];
        violations::<u64>(&[], &Watcher { filter, received, caught_up_to: Some(7) })
    };
    assert_eq!(judge(7), []);
    assert!(judge(8).contains(&Violation::Future { step: 1, position: 8 }));
}
