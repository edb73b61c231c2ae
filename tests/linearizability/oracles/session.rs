//! What sessions are promised, by index.

use synod_testkit::oracle::session::{Answered, Kind, Violation, violations};

use crate::judge::at;

fn answered(session: u64, kind: Kind, from: u64, index: u64) -> Answered {
    Answered { session, kind, invoked_at: at(from), returned_at: at(from + 5), index }
}

#[test]
fn another_session_may_be_behind_unless_it_reads_linearizably() {
    let write = answered(1, Kind::Write, 0, 7);
    assert_eq!(violations(&[write, answered(2, Kind::Sequential, 10, 3)]), []);
    assert_eq!(
        violations(&[write, answered(1, Kind::Sequential, 10, 3)]),
        [Violation::WentBack { operation: 1, index: 3, seen: 7 }]
    );
    assert_eq!(
        violations(&[write, answered(2, Kind::Linearizable, 10, 3)]),
        [Violation::Stale { operation: 1, index: 3, answered: 7 }]
    );
    assert_eq!(violations(&[write, answered(2, Kind::Linearizable, 3, 3)]), [], "they are concurrent");
}

#[test]
fn writes_have_places_of_their_own_in_the_order_of_time() {
    let write = |session, from, index| answered(session, Kind::Write, from, index);
    assert_eq!(
        violations(&[write(1, 0, 7), write(2, 10, 6)]),
        [Violation::Backdated { operation: 1, index: 6, answered: 7 }]
    );
    assert_eq!(
        violations(&[write(1, 0, 7), write(2, 1, 7)]),
        [Violation::SameIndex { first: 0, second: 1, index: 7 }]
    );
}
