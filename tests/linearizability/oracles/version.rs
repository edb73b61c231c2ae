//! The chain of versions of a key.

use synod_testkit::oracle::version::{History, Read, Violation, Write, violations};

use crate::judge::at;

fn write(from: u64, version: u64, previous: u64) -> Write<&'static str> {
    Write { key: "k", version, previous: Some(previous), invoked_at: at(from), returned_at: at(from + 5) }
}

fn judge(writes: &[Write<&'static str>], reads: &[(u64, u64)]) -> Vec<Violation> {
    let read = |(from, version): &(u64, u64)| Read {
        key: "k",
        version: *version,
        invoked_at: at(*from),
        returned_at: at(from + 5),
    };
    let reads = reads.iter().map(read).collect();
    violations(&History { writes: writes.to_vec(), reads, is_complete: true })
}

#[test]
fn a_chain_has_no_fork_and_no_unknown_link() {
    assert_eq!(judge(&[write(0, 3, 0), write(10, 5, 3)], &[(20, 5)]), []);
    assert_eq!(
        judge(&[write(0, 3, 0), write(10, 5, 3), write(11, 6, 3)], &[]),
        [Violation::LostUpdate { first: 1, second: 2, previous: 3 }]
    );
    assert_eq!(
        judge(&[write(0, 3, 0)], &[(20, 4)]),
        [Violation::Phantom { version: 4, seen_by: "read", place: 0 }]
    );
}

#[test]
fn what_was_seen_is_not_unseen() {
    assert_eq!(
        judge(&[write(0, 3, 0), write(10, 5, 3)], &[(20, 3)]),
        [Violation::ReadWentBack { read: 0, version: 3, seen: 5 }]
    );
    let twice = judge(&[write(0, 3, 0), write(1, 3, 0)], &[]);
    assert_eq!(twice, [Violation::SameVersion { first: 0, second: 1, version: 3 }]);
}
