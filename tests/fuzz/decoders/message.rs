//! A frame of messages from another node.
//!
//! Promise: a message that is taken goes over the wire again as the same.

use prost::Message as _;
use synod_proto::log::v1::Membership;
use synod_proto::peer::v1::{Entry, Frame, Hello, Message, Raft, SnapshotMetadata, message};
use synod_protocol::EntryKind;
use synod_replica::wire::{message_from_wire, message_to_wire, metadata_from_wire, metadata_to_wire};

/// Whether the bytes are a frame of which every message is taken.
pub fn run(bytes: &[u8]) -> bool {
    let Ok(frame) = Frame::decode(bytes) else { return false };
    let mut all = true;
    for message in frame.messages {
        let Ok(taken) = message_from_wire(message) else {
            all = false;
            continue;
        };
        let again = message_from_wire(message_to_wire(taken.clone())).unwrap();
        assert_eq!(again, taken);
    }
    all
}

/// A greeting, entries, a snapshot.
pub fn seeds() -> Vec<Vec<u8>> {
    let hello = Hello { node: "node-1".into(), peer_address: "127.0.0.1:5680".into() };
    let entry = |index, kind: EntryKind| Entry {
        term: 3,
        index,
        kind: kind as u32,
        data: vec![index as u8; 9].into(),
    };
    let raft = Raft { kind: 3, term: 3, log_term: 2, index: 7, commit: 6, ..Raft::default() };
    let append =
        Raft { entries: vec![entry(8, EntryKind::Normal), entry(9, EntryKind::Membership)], ..raft.clone() };
    let metadata = SnapshotMetadata { index: 50, term: 2, membership: Some(Membership::default()) };
    assert_eq!(
        metadata_from_wire(&metadata_to_wire(&metadata_from_wire(&metadata))),
        metadata_from_wire(&metadata)
    );
    let snapshot = Raft { kind: 7, snapshot: Some(metadata), ..raft };
    let message =
        |raft| Message { group: 5, partition: 1, from: 1, to: 2, body: Some(message::Body::Raft(raft)) };
    let frames = [
        Frame { hello: Some(hello), messages: vec![] },
        Frame { hello: None, messages: vec![message(append), message(snapshot)] },
    ];
    frames.iter().map(Frame::encode_to_vec).collect()
}
