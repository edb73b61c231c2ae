//! The layouts are persisted: these tests change only together with a new version.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use synod_types::{LogIndex, MemberId, PartitionId, Term};

use crate::disk::{Disk, SimDisk};
use crate::identity::{Identity, Stage};
use crate::snapshot::{Progress, SnapshotId, SnapshotMeta, SnapshotStore};
use crate::state::{MemoryStore, StateStore, Table};
use crate::wal::{Batch, Entry, EntryKind, HardState, SnapshotMark, Wal, WalOptions};

/// The bytes in rows of eight, as hexadecimal digits.
fn rows(bytes: &[u8]) -> Vec<String> {
    let digits = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(8).map(digits).collect()
}

#[test]
fn a_segment_is_pinned() {
    let disk = SimDisk::new(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = WalOptions { segment_bytes: 16_384, ..WalOptions::new(MemberId(0x0a0b)) };
    let mut wal = Wal::create(shared, Path::new("/w"), 0x1122_3344_5566_7788, options).unwrap();
    wal.append(&Batch {
        snapshot_mark: Some(SnapshotMark { index: LogIndex(8), term: Term(4) }),
        entries: &[Entry {
            term: Term(5),
            index: LogIndex(9),
            kind: EntryKind::Membership,
            payload: Bytes::from_static(b"hello"),
        }],
        hard_state: Some(HardState { term: Term(5), vote: MemberId(0x0c0d), commit: LogIndex(8) }),
    })
    .unwrap();
    wal.seal().unwrap();
    assert_eq!(disk.list(Path::new("/w")).unwrap(), ["0000000000000001.wal"]);
    let bytes = disk.contents(Path::new("/w/0000000000000001.wal")).unwrap();
    assert_eq!(bytes.len(), 16_384);
    assert_eq!(rows(&bytes[..64]), SEGMENT_HEADER);
    assert_eq!(rows(&bytes[64..240]), FIRST_RECORDS);
    assert_eq!(rows(&bytes[240..480]), RECORDS);
    assert!(bytes[480..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_snapshot_is_pinned() {
    let disk = SimDisk::new(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let store = SnapshotStore::open(shared, Path::new("/s")).unwrap();
    let mut state = MemoryStore::default();
    state.put(Table::Data, b"key", b"value").unwrap();
    let meta = SnapshotMeta {
        id: SnapshotId { index: LogIndex(0x1f), term: Term(2) },
        header: Bytes::from_static(b"own"),
    };
    let mut writer = store.writer(&meta, state.snapshot()).unwrap();
    assert_eq!(writer.step(1000).unwrap(), Progress::Done);
    writer.section(200, b"k", b"").unwrap();
    writer.finish().unwrap();
    let name = "000000000000001f-0000000000000002.snapshot";
    assert_eq!(disk.list(Path::new("/s")).unwrap(), [name]);
    let bytes = disk.contents(&Path::new("/s").join(name)).unwrap();
    assert_eq!(rows(&bytes), SNAPSHOT);
}

#[test]
fn an_identity_is_pinned() {
    let identity = Identity {
        group: "ns/name".into(),
        partition: PartitionId(2),
        member: MemberId(0x0a0b),
        stage: Stage::HoldsData,
    };
    assert_eq!(rows(&identity.encode()), IDENTITY);
}

const SEGMENT_HEADER: [&str; 8] = [
    "53594e4f4457414c",
    "1a6b6bfb01000000",
    "0b0a000000000000",
    "8877665544332211",
    "0100000000000000",
    "0100000000000000",
    "0100000000000000",
    "0040000000000000",
];

const FIRST_RECORDS: [&str; 22] = [
    "78e94cca165159af",
    "0000000001000000",
    "0100000000000000",
    "0100000000000000",
    "0000000000000000",
    "0000000000000000",
    "0400000000000000",
    "6fef27c3046ff16c",
    "0800000002000000",
    "0100000000000000",
    "0200000000000000",
    "0000000000000000",
    "0000000000000000",
    "0200000000000000",
    "0000000000000000",
    "5c29f9e3165159af",
    "0000000003000000",
    "0100000000000000",
    "0300000000000000",
    "0000000000000000",
    "0000000000000000",
    "0301000000000000",
];

const RECORDS: [&str; 30] = [
    "66b72a90165159af",
    "0000000001000000",
    "0100000000000000",
    "0400000000000000",
    "0400000000000000",
    "0800000000000000",
    "0300000000000000",
    "cbc1ed70fbbd5553",
    "0500000002000000",
    "0100000000000000",
    "0500000000000000",
    "0500000000000000",
    "0900000000000000",
    "0101000000000000",
    "68656c6c6f000000",
    "835516f716ac26ad",
    "0800000003000000",
    "0100000000000000",
    "0600000000000000",
    "0500000000000000",
    "0800000000000000",
    "0200000000000000",
    "0d0c000000000000",
    "e576a60e165159af",
    "0000000001000000",
    "0100000000000000",
    "0700000000000000",
    "0000000000000000",
    "0000000000000000",
    "0500000000000000",
];

const SNAPSHOT: [&str; 17] = [
    "53594e4f44534e50",
    "0100000000000000",
    "9515e90d13000000",
    "010000001f000000",
    "0000000002000000",
    "000000006f776e19",
    "7d2ebb1b00000002",
    "0000000703000000",
    "050000006b657976",
    "616c7565c8010000",
    "00000000006b30a4",
    "7807200000000300",
    "0000010000000000",
    "0000010000000000",
    "000086ae84265255",
    "fc664d449f639733",
    "935d",
];

const IDENTITY: [&str; 6] = [
    "53594e4f442d4944",
    "94785d3e01000000",
    "020000000b0a0000",
    "0000000002000000",
    "070000006e732f6e",
    "616d65",
];
