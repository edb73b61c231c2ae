//! A log entry, applied to the state of a partition.
//!
//! Promise: every replica ends in the same state. (An entry that cannot be read stops them all.)

use bytes::Bytes;
use prost::Message as _;
use synod_primitives::Placement;
use synod_proto::log::v1::proposal::Body;
use synod_proto::log::v1::{Batch, CloseSession, OpenSession, Proposal};
use synod_protocol::{Entry, EntryKind};
use synod_replica::machine::Machine;
use synod_replica::{Configuration, Genesis, History};
use synod_storage::state::{MemoryStore, StateHash};
use synod_types::{Limits, LogIndex, LogTime, PartitionId, SlotTable, Term};

use super::frame;

fn machine() -> Machine {
    let configuration = Configuration {
        group: "default/sample".into(),
        limits: Limits::default(),
        placement: Placement { partition: PartitionId(0), slots: SlotTable::new(1).unwrap() },
        born: LogTime(1),
    };
    let mut store = MemoryStore::default();
    Genesis { configuration, members: Vec::new() }.write(&mut store).unwrap();
    Machine::load(Box::new(store), History::default()).unwrap()
}

/// The state after some entries, the last of which is of these bytes; none if it cannot be read.
fn state_after(bytes: &[u8]) -> Option<StateHash> {
    let mut machine = machine();
    for (index, data) in
        [Bytes::from(seeds().remove(0)), Bytes::copy_from_slice(bytes)].into_iter().enumerate()
    {
        let entry = Entry { term: Term(2), index: LogIndex(2 + index as u64), kind: EntryKind::Normal, data };
        machine.apply(&entry).ok()?;
    }
    Some(machine.state_hash())
}

/// Whether the bytes are an entry.
pub fn run(bytes: &[u8]) -> bool {
    let state = state_after(bytes);
    assert_eq!(state, state_after(bytes));
    state.is_some()
}

/// A new leader and a session that creates one of each kind; the session at work; its end.
pub fn seeds() -> Vec<Vec<u8>> {
    let session = |number, body| Proposal {
        session_id: 1,
        sequence: number,
        acknowledged: number / 2,
        body: Some(body),
    };
    let command =
        |(number, command): (usize, Vec<u8>)| session(number as u64 + 1, Body::Command(command.into()));
    let (create, work): (Vec<_>, Vec<_>) = (frame::creations(), frame::commands());
    let open = Body::OpenSession(OpenSession { timeout_ms: 5_000, client: "fuzz".into() });
    let mut proposals = vec![Proposal { body: Some(open), ..Proposal::default() }];
    proposals.extend(create.iter().cloned().enumerate().map(command));
    let first = Batch { time_ms: 1_000, leader_change: true, proposals };
    let skipped = create.len();
    let rest = work.into_iter().enumerate().map(|(number, bytes)| command((number + skipped, bytes)));
    let second = Batch { time_ms: 2_000, leader_change: false, proposals: rest.collect() };
    let close = Proposal {
        session_id: 1,
        body: Some(Body::CloseSession(CloseSession { expired: true })),
        ..Proposal::default()
    };
    let third = Batch { time_ms: 90_000, leader_change: false, proposals: vec![close] };
    [first, second, third].iter().map(Batch::encode_to_vec).collect()
}
