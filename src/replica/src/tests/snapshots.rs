//! Snapshots: the same state, the same promises.

use super::*;

/// Copies the state and history of a snapshot, as a file would carry them.
fn copy(job: &SnapshotJob) -> (Box<dyn StateStore>, History) {
    let mut store = MemoryStore::default();
    for table in Table::ALL {
        for pair in job.state.scan(table, synod_storage::state::KeyRange::all()) {
            let (key, value) = pair.unwrap();
            store.put(table, &key, &value).unwrap();
        }
    }
    let mut history = History::default();
    for (_, value) in job.history.records() {
        history.restore(&value).unwrap();
    }
    (Box::new(store), history)
}

impl Partition {
    /// Takes a snapshot and starts another replica from it.
    fn reincarnate(&mut self) -> Self {
        self.input(Input::Admin(77, Admin::Snapshot));
        let job = self.snapshots.pop().unwrap();
        let (store, history) = copy(&job);
        assert_eq!(store.hash(), job.state.hash());
        self.input(Input::SnapshotSaved(job.metadata.clone(), Ok(1_000)));
        assert_eq!(self.admin_replies[&77], Ok(job.metadata.index.get()));
        Self::start(store, history, job.metadata, Options::default())
    }
}

#[test]
fn results_survive_a_snapshot_so_a_retry_is_still_exactly_once() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    partition.increment(session, 1, 0, hits).unwrap();
    partition.increment(session, 2, 1, hits).unwrap();
    let mut next = partition.reincarnate();
    assert_eq!(next.increment(session, 2, 0, hits), Ok(2));
    assert_eq!(next.increment(session, 1, 0, hits), Err(ErrorCode::StaleSequence));
    assert_eq!(next.increment(session, 3, 2, hits), Ok(3));
}

#[test]
fn a_watch_resumes_over_a_snapshot() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let begin = partition.replica.machine().applied().position.get();
    for key in ["a", "b", "c"] {
        partition.put(map, key, "x");
    }
    let mut next = partition.reincarnate();
    let watch = next.watch(map, begin + 1, None);
    next.put(map, "d", "x");
    assert_eq!(next.keys(watch), ["b", "c", "d"]);
}

/// The next leader does not know when the last one answered a keep-alive.
#[test]
fn a_new_leader_gives_every_session_its_full_timeout() {
    let mut partition = Partition::new();
    let session = partition.open(2_000);
    partition.run(ms(1_900));
    let mut next = partition.reincarnate();
    let elected = next.now;
    next.run(ms(1_000));
    assert!(next.now.since(elected) < ms(2_000));
    next.keep_alive(session).unwrap();
    next.run(ms(2_100));
    assert_eq!(next.keep_alive(session), Err(ErrorCode::SessionNotFound));
}

/// Whoever holds a lease could not renew it while there was no leader.
#[test]
fn a_new_leader_gives_every_lease_its_full_length() {
    let mut partition = Partition::new();
    let session = partition.open(60_000);
    let lock = partition.create(PrimitiveKind::Lock, "l");
    let acquire = |request_id: &str| {
        Operation::LockAcquire(lock::AcquireRequest {
            request_id: request_id.into(),
            mode: lock::Mode::Write.into(),
            lease_ms: Some(2_000),
            max_wait_ms: Some(0),
            ..Default::default()
        })
    };
    let is_granted = |partition: &mut Partition, sequence, request_id| {
        let answer = partition.propose(session, sequence, sequence - 1, lock, acquire(request_id));
        let outcome = answer.map(|answer| lock::AcquireResponse::decode(answer).unwrap().outcome);
        matches!(outcome, Ok(Some(lock::acquire_response::Outcome::Granted(_))))
    };
    assert!(is_granted(&mut partition, 1, "first"));
    partition.run(ms(1_900));
    partition.create(PrimitiveKind::Map, "to carry the time");
    let mut next = partition.reincarnate();
    next.run(ms(1_000));
    assert!(!is_granted(&mut next, 2, "second"), "the lease ended while nobody could renew it");
    next.run(ms(2_100));
    assert!(is_granted(&mut next, 3, "second"));
}

/// TTLs are deadlines in log time: what was left of one is left of it afterwards, no more.
#[test]
fn bug_a_restored_ttl_is_not_a_full_one() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let entry = map::PutRequest { key: "k".into(), ttl_ms: Some(60_000), ..Default::default() };
    partition.propose(0, 0, 0, map, Operation::MapPut(entry)).unwrap();
    partition.run(ms(40_000));
    partition.put(map, "to carry the time", "x");
    let mut next = partition.reincarnate();
    let watch = next.watch(map, 0, None);
    next.run(ms(21_000));
    assert_eq!(next.keys(watch), ["k"]);
}

#[test]
fn the_log_is_cut_behind_a_snapshot_but_for_a_tail() {
    let options = Options { snapshot_log_bytes: 40_000, log_tail_bytes: 5_000, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let map = partition.create(PrimitiveKind::Map, "m");
    let mut written = 0;
    while partition.snapshots.is_empty() {
        partition.put(map, &format!("{written}"), &"x".repeat(1_000));
        written += 1;
        assert!(written < 100, "a snapshot is due");
    }
    let job = partition.snapshots.pop().unwrap();
    let first = |partition: &Partition| partition.replica.status().protocol.first_index;
    let before = first(&partition);
    partition.input(Input::SnapshotSaved(job.metadata.clone(), Ok(1_000)));
    let (first, end) = (first(&partition), job.metadata.index);
    assert!(first > before && first <= end, "{before} {first} {end}");
    let tail = end.get() - first.get();
    assert!((2..=5).contains(&tail), "a tail of about 5,000 bytes is kept: {tail} entries");
}

/// The larger the state, the longer the log until a snapshot is worth its writing. What all members have need not be in
/// memory until then.
#[test]
fn a_log_that_grows_long_before_a_snapshot_is_shortened_in_memory() {
    let options = Options { snapshot_log_bytes: 40_000, log_tail_bytes: 5_000, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let map = partition.create(PrimitiveKind::Map, "m");
    partition.input(Input::Admin(1, Admin::Snapshot));
    let job = partition.snapshots.pop().unwrap();
    partition.input(Input::SnapshotSaved(job.metadata.clone(), Ok(1_000_000)));
    for number in 0..100 {
        partition.put(map, &format!("{number}"), &"x".repeat(1_000));
    }
    assert!(partition.snapshots.is_empty(), "none is due before half the size of the last one");
    let status = partition.replica.status().protocol;
    let kept = status.last_index.get() + 1 - status.first_index.get();
    assert!((7..=10).contains(&kept), "{kept} entries of about 1,100 bytes are kept");
    assert_eq!(partition.failed, None);
    partition.input(Input::Admin(2, Admin::Snapshot));
    let job = partition.snapshots.pop().unwrap();
    partition.input(Input::SnapshotSaved(job.metadata, Ok(1_000_000)));
    let status = partition.replica.status().protocol;
    let kept = status.last_index.get() + 1 - status.first_index.get();
    assert!((2..=5).contains(&kept), "behind a snapshot, a tail of {kept} entries is kept");
}

/// What is applied while a snapshot is being written counts towards the next one, also what is no longer in memory.
#[test]
fn a_snapshot_that_takes_long_does_not_put_off_the_next_one() {
    let options = Options { snapshot_log_bytes: 20_000, log_tail_bytes: 5_000, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let map = partition.create(PrimitiveKind::Map, "m");
    partition.input(Input::Admin(1, Admin::Snapshot));
    let job = partition.snapshots.pop().unwrap();
    for number in 0..60 {
        partition.put(map, &format!("{number}"), &"x".repeat(1_000));
    }
    partition.input(Input::SnapshotSaved(job.metadata, Ok(100_000)));
    assert_eq!(partition.snapshots.len(), 1, "the log has more than half of its size");
}

#[test]
fn a_disk_that_is_full_is_not_asked_again_at_once() {
    let options = Options { snapshot_log_bytes: 1_000, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let map = partition.create(PrimitiveKind::Map, "m");
    partition.put(map, "k", &"x".repeat(1_000));
    let full = || synod_types::Error::new(ErrorCode::ResourceExhausted, "no space left on device");
    let job = partition.snapshots.pop().unwrap();
    partition.input(Input::SnapshotSaved(job.metadata, Err(full())));
    partition.put(map, "k", &"x".repeat(1_000));
    partition.run(ms(4_000));
    assert!(partition.snapshots.is_empty(), "a moment later nothing is better");
    partition.run(ms(2_000));
    assert_eq!(partition.snapshots.len(), 1);
}

#[test]
fn that_a_snapshot_could_not_be_saved_is_told_until_one_is() {
    let mut partition = Partition::new();
    let told = |partition: &Partition| partition.replica.status().snapshot_problem.map(|it| it.to_string());
    partition.input(Input::Admin(1, Admin::Snapshot));
    assert_eq!(told(&partition), None);
    let full = synod_types::Error::new(ErrorCode::ResourceExhausted, "no space left on device");
    let job = partition.snapshots.pop().unwrap();
    partition.input(Input::SnapshotSaved(job.metadata, Err(full)));
    partition.run(ms(4_000));
    assert!(told(&partition).unwrap().contains("no space left on device"));
    partition.run(ms(2_000));
    let job = partition.snapshots.pop().expect("nobody has to ask again");
    assert!(told(&partition).is_some(), "it is not yet better");
    partition.input(Input::SnapshotSaved(job.metadata, Ok(1_000)));
    assert_eq!(told(&partition), None);
}

#[test]
fn a_snapshot_that_fails_is_tried_again_and_costs_nothing() {
    let mut partition = Partition::new();
    partition.input(Input::Admin(1, Admin::Snapshot));
    let job = partition.snapshots.pop().unwrap();
    let full = synod_types::Error::new(ErrorCode::ResourceExhausted, "no space left on device");
    partition.input(Input::SnapshotSaved(job.metadata, Err(full)));
    assert_eq!(partition.admin_replies[&1], Err(ErrorCode::ResourceExhausted));
    assert_eq!(partition.failed, None);
    partition.input(Input::Admin(2, Admin::Snapshot));
    assert_eq!(partition.snapshots.len(), 1);
}
