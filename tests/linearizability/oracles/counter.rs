//! The bounds of a counter.

use synod_testkit::oracle::counter::{Change, History, Read, Violation, violations};

use crate::judge::at;

fn add(from: u64, to: u64, value: i64) -> Change {
    Change { delta: 1, invoked_at: at(from), answered: Some((at(to), value)) }
}

fn read(from: u64, to: u64, value: i64) -> Read {
    Read { value, invoked_at: at(from), returned_at: at(to) }
}

fn judge(changes: &[Change], reads: &[Read]) -> Vec<Violation> {
    violations(&History { initial: 0, changes: changes.to_vec(), reads: reads.to_vec() })
}

#[test]
fn what_may_have_been_counted_may_be_read_and_nothing_else() {
    let changes = [add(0, 10, 1), Change { delta: 1, invoked_at: at(5), answered: None }];
    for value in [1, 2] {
        assert_eq!(judge(&changes, &[read(20, 30, value)]), []);
    }
    for value in [0, 3] {
        let found = judge(&changes, &[read(20, 30, value)]);
        assert!(matches!(found[0], Violation::Read { read: 0, least: 1, most: 2, .. }), "{found:?}");
    }
}

#[test]
fn two_increments_are_not_answered_alike_and_reads_do_not_go_back() {
    let found = judge(&[add(0, 10, 1), add(0, 10, 1)], &[]);
    assert_eq!(found, [Violation::SameAnswer { first: 0, second: 1, value: 1 }]);
    let open = Change { delta: 1, invoked_at: at(0), answered: None };
    let found = judge(&[open], &[read(10, 20, 1), read(30, 40, 0)]);
    assert_eq!(found, [Violation::WentBack { read: 1, value: 0, seen: 1 }]);
}
