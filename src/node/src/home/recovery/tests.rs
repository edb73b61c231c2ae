//! A crash at any moment leaves a replica that is who it was, or the one that goes on, with everything either way.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use synod_primitives::Placement;
use synod_proto::types::v1::Member;
use synod_protocol::Membership;
use synod_replica::{Configuration, Genesis};
use synod_storage::disk::SimDisk;
use synod_storage::identity::{Identity, Stage};
use synod_storage::wal::{Batch, Entry, EntryKind, HardState, Wal};
use synod_types::{Limits, LogIndex, LogTime, MemberId, PartitionId, SlotTable, Term};

use super::*;
use crate::clock::SystemRandom;

/// How many entries there are behind the genesis.
const ENTRIES: u64 = 5;
const NODE: &str = "node-1";

fn home(disk: &SimDisk) -> Home {
    Home::new(Arc::new(disk.clone()), PathBuf::from("home"), 1 << 20)
}

/// A follower of three with a log of which it knows nothing to be committed.
fn follower() -> (SimDisk, Identity) {
    let disk = SimDisk::new(7);
    let home = home(&disk);
    let identity = home.prepare("default/sample", 0, &mut SystemRandom).unwrap();
    let member = |id, number| Member { id, node: format!("node-{number}"), ..Member::default() };
    let genesis = Genesis {
        configuration: Configuration {
            group: "default/sample".to_owned(),
            limits: Limits::default(),
            placement: Placement {
                partition: PartitionId(0),
                slots: SlotTable::with_moves(1, 32_768, []).unwrap(),
            },
            born: LogTime(1),
        },
        members: vec![member(identity.member.get(), 1), member(1, 2), member(2, 3)],
    };
    home.bootstrap(&identity, &genesis, &mut SystemRandom).unwrap();
    let identity = home.identity().unwrap().unwrap();
    let entries: Vec<_> = (2..2 + ENTRIES)
        .map(|index| Entry {
            index: LogIndex(index),
            term: Term(3),
            kind: EntryKind::Normal,
            payload: Bytes::new(),
        })
        .collect();
    let (mut wal, _) =
        Wal::open(Arc::new(disk.clone()), &home.log_dir(), home.wal_options(identity.member)).unwrap();
    let hard_state = HardState { term: Term(4), vote: MemberId(1), commit: LogIndex(1) };
    wal.append(&Batch { entries: &entries, hard_state: Some(hard_state), ..Batch::default() }).unwrap();
    wal.sync().unwrap();
    drop(wal);
    (disk, identity)
}

/// Whoever lives here has all that there was. Returns whether it goes on alone.
fn check(disk: &SimDisk, before: &Identity) -> bool {
    let home = home(disk);
    let identity = home.identity().unwrap().unwrap();
    let identity = home.settle(&identity, &mut SystemRandom).unwrap();
    let opened = home.open(&identity).unwrap();
    let applied = opened.machine.applied();
    let last = opened.start.entries.last().map_or(opened.snapshot.index, |entry| entry.index);
    if identity.member == before.member {
        // The snapshot may be there already; its only member is nobody yet.
        assert!(last >= LogIndex(1 + ENTRIES), "{last}");
        return false;
    }
    assert_eq!(identity.stage, Stage::HoldsData);
    assert_eq!(opened.snapshot.membership, Membership::of_voters([identity.member]));
    assert!(opened.start.entries.is_empty());
    assert!(applied.log_index > LogIndex(1 + ENTRIES) && applied.term > Term(4), "{applied:?}");
    let members: Vec<_> = opened.machine.members().iter().map(|member| member.node.as_str()).collect();
    assert_eq!(members, [NODE]);
    true
}

#[test]
fn a_crash_at_every_boundary_leaves_who_it_was_or_who_goes_on() {
    let (disk, identity) = follower();
    let trial = disk.fork();
    home(&trial).go_on_alone(&identity, NODE, &mut SystemRandom).unwrap();
    assert!(check(&trial, &identity));
    let changes = trial.changes();
    assert!(changes > 5, "{changes}");
    let mut outcomes = [0, 0];
    for power_off_after in 0..changes {
        let disk = disk.fork();
        disk.power_off_after(power_off_after);
        let is_done = home(&disk).go_on_alone(&identity, NODE, &mut SystemRandom).is_ok();
        disk.crash();
        let goes_on = check(&disk.fork(), &identity);
        assert!(goes_on || !is_done, "what was reported is durable");
        outcomes[usize::from(goes_on)] += 1;
        if !goes_on {
            home(&disk).go_on_alone(&identity, NODE, &mut SystemRandom).unwrap();
            assert!(check(&disk, &identity), "told again, it goes on");
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn who_was_taken_out_does_not_go_on() {
    let (disk, identity) = follower();
    let stranger = Identity { member: MemberId(99), ..identity.clone() };
    let refused = home(&disk).go_on_alone(&stranger, "node-9", &mut SystemRandom).unwrap_err();
    assert!(!refused.to_string().is_empty());
    assert!(!check(&disk, &identity));
}
