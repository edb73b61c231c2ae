//! The intervals in which clients believe to hold.

use synod_testkit::oracle::lock::{Holding, Violation, violations};

use crate::judge::at;

fn held(holder: u64, fence: u64, from: u64, until: u64) -> Holding {
    let reading = false;
    Holding { holder, fence, reading, requested_at: at(from), from: at(from), until: at(until) }
}

fn read(holder: u64, fence: u64, from: u64, until: u64) -> Holding {
    Holding { reading: true, ..held(holder, fence, from, until) }
}

#[test]
fn writers_exclude_everybody_and_readers_only_writers() {
    assert_eq!(
        violations(&[held(1, 1, 0, 10), held(2, 2, 10, 20), read(3, 3, 20, 30), read(4, 4, 20, 30)]),
        []
    );
    for second in [held(2, 2, 9, 20), read(2, 2, 9, 20)] {
        assert_eq!(violations(&[held(1, 1, 0, 10), second]), [Violation::Overlap { first: 0, second: 1 }]);
    }
    assert_eq!(violations(&[held(1, 1, 0, 10), held(1, 1, 5, 12)]), [], "one grant that is shared");
}

#[test]
fn fences_grow_and_are_of_one_holder() {
    assert_eq!(
        violations(&[held(1, 5, 0, 10), held(2, 4, 20, 30)]),
        [Violation::FenceWentBack { first: 0, second: 1 }]
    );
    let same = violations(&[held(1, 5, 0, 10), held(2, 5, 20, 30)]);
    assert!(same.contains(&Violation::SameFence { first: 0, second: 1, fence: 5 }), "{same:?}");
}
