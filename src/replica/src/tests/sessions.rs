//! Sessions: exactly once, and alive for as long as they were promised.

use super::*;

#[test]
fn a_write_is_answered_when_it_is_durable_and_not_before() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    partition.disk_works = false;
    let propose = Propose { command: command(hits, increment()), ..Propose::default() };
    let tag = partition.send(request::Body::Propose(propose));
    partition.run(ms(300));
    assert_eq!(partition.reply(tag), None);
    partition.disk_works = true;
    partition.flush();
    assert!(matches!(partition.reply(tag), Some(Ok(reply::Body::Result(_)))));
}

#[test]
fn a_retry_is_answered_alike_and_not_executed_again() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    assert_eq!(partition.increment(session, 1, 0, hits), Ok(1));
    assert_eq!(partition.increment(session, 1, 0, hits), Ok(1));
    assert_eq!(partition.increment(session, 2, 0, hits), Ok(2));
    assert_eq!(partition.increment(session, 1, 0, hits), Ok(1));
    assert_eq!(partition.count(hits), Ok(2));
}

#[test]
fn a_refusal_is_a_result_and_is_replayed_too() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    let update = |expected| {
        Operation::CounterUpdate(counter::UpdateRequest { expected, value: 5, ..Default::default() })
    };
    assert_eq!(partition.propose(session, 1, 0, hits, update(1)), Err(ErrorCode::Conflict));
    partition.increment(session, 2, 0, hits).unwrap();
    assert_eq!(
        partition.propose(session, 1, 0, hits, update(1)),
        Err(ErrorCode::Conflict),
        "now it would succeed, but it was executed before"
    );
}

/// The reference executes a request again whose result was forgotten.
#[test]
fn bug_a_late_duplicate_below_the_floor_is_never_executed() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    partition.increment(session, 1, 0, hits).unwrap();
    partition.increment(session, 2, 1, hits).unwrap();
    assert_eq!(partition.increment(session, 1, 0, hits), Err(ErrorCode::StaleSequence));
    assert_eq!(partition.increment(session, 0, 0, hits), Err(ErrorCode::StaleSequence));
    assert_eq!(partition.count(hits), Ok(2));
}

#[test]
fn requests_may_arrive_out_of_order() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    assert_eq!(partition.increment(session, 3, 0, hits), Ok(1));
    assert_eq!(partition.increment(session, 1, 0, hits), Ok(2));
    assert_eq!(partition.increment(session, 2, 1, hits), Ok(3));
    assert_eq!(partition.increment(session, 3, 1, hits), Ok(1));
}

#[test]
fn a_sequence_belongs_to_one_command() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    partition.increment(session, 1, 0, hits).unwrap();
    let other = Operation::CounterSet(counter::SetRequest { value: 9, ..Default::default() });
    assert_eq!(partition.propose(session, 1, 0, hits, other), Err(ErrorCode::Invalid));
    assert_eq!(partition.count(hits), Ok(1));
}

#[test]
fn acknowledged_results_are_forgotten() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    for sequence in 1..=50 {
        partition.increment(session, sequence, 0, hits).unwrap();
    }
    let results = |partition: &Partition| {
        let store = partition.replica.machine().store();
        store.scan(Table::Results, synod_storage::state::KeyRange::all()).count()
    };
    assert_eq!(results(&partition), 50);
    partition.increment(session, 51, 50, hits).unwrap();
    assert_eq!(results(&partition), 1);
    partition.close(session).unwrap();
    assert_eq!(results(&partition), 0);
}

#[test]
fn a_session_that_acknowledges_nothing_is_stopped() {
    let limits = Limits { session_results: 3, ..Limits::default() };
    let mut partition = Partition::with(limits, Options::default());
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(10_000);
    for sequence in 1..=3 {
        partition.increment(session, sequence, 0, hits).unwrap();
    }
    assert_eq!(partition.increment(session, 4, 0, hits), Err(ErrorCode::ResourceExhausted));
    assert_eq!(partition.increment(session, 4, 1, hits), Ok(4), "the refusal was not a result");
}

#[test]
fn without_a_session_nothing_is_deduplicated() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    assert_eq!(partition.increment(0, 1, 0, hits), Ok(1));
    assert_eq!(partition.increment(0, 1, 0, hits), Ok(2));
}

#[test]
fn a_session_lives_for_its_timeout_and_no_less() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(2_000);
    partition.run(ms(1_990));
    partition.keep_alive(session).unwrap();
    partition.run(ms(1_990));
    assert_eq!(partition.increment(session, 1, 0, hits), Ok(1));
    partition.run(ms(20));
    assert_eq!(partition.keep_alive(session), Err(ErrorCode::SessionNotFound));
    assert_eq!(partition.increment(session, 2, 0, hits), Err(ErrorCode::SessionNotFound));
    assert_eq!(partition.replica.machine().sessions_open(), 0);
}

#[test]
fn a_process_that_was_paused_expires_nobody_for_it() {
    let mut partition = Partition::new();
    let session = partition.open(5_000);
    partition.now = partition.now + ms(3_600_000);
    partition.flush();
    partition.keep_alive(session).unwrap();
}

#[test]
fn keep_alives_are_not_logged() {
    let mut partition = Partition::new();
    let session = partition.open(5_000);
    let before = partition.replica.status().protocol.last_index;
    for _ in 0..20 {
        partition.keep_alive(session).unwrap();
    }
    assert_eq!(partition.replica.status().protocol.last_index, before);
}

#[test]
fn unknown_and_closed_sessions_are_told_apart_from_nothing() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let session = partition.open(5_000);
    partition.close(session).unwrap();
    for session in [session, 999] {
        assert_eq!(partition.keep_alive(session), Err(ErrorCode::SessionNotFound));
        assert_eq!(partition.close(session), Err(ErrorCode::SessionNotFound));
        assert_eq!(partition.increment(session, 1, 0, hits), Err(ErrorCode::SessionNotFound));
    }
}

#[test]
fn sessions_are_checked_and_bounded() {
    let mut partition = Partition::with(Limits { sessions: 2, ..Limits::default() }, Options::default());
    let open = |timeout_ms, client: &str| request::Body::Open(Open { timeout_ms, client: client.into() });
    for bad in [open(999, ""), open(86_400_001, ""), open(5_000, &"x".repeat(256))] {
        assert_eq!(partition.call(bad), Err(ErrorCode::Invalid));
    }
    partition.open(5_000);
    let second = partition.open(5_000);
    assert_eq!(partition.call(open(5_000, "")), Err(ErrorCode::ResourceExhausted));
    partition.close(second).unwrap();
    partition.open(5_000);
}

#[test]
fn too_much_at_once_is_refused_at_once() {
    let options = Options { writes_in_flight_max: 2, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    partition.disk_works = false;
    let propose =
        || request::Body::Propose(Propose { command: command(hits, increment()), ..Propose::default() });
    let waiting = [partition.send(propose()), partition.send(propose())];
    assert_eq!(partition.call(propose()), Err(ErrorCode::ResourceExhausted));
    partition.disk_works = true;
    partition.flush();
    assert!(waiting.iter().all(|tag| matches!(partition.reply(*tag), Some(Ok(_)))));
    assert_eq!(partition.count(hits), Ok(2), "what was refused was not done");
}

#[test]
fn commands_that_nobody_understands_are_refused_and_change_nothing() {
    let limits = Limits { request_bytes: 100, ..Limits::default() };
    let mut partition = Partition::with(limits, Options::default());
    let map = partition.create(PrimitiveKind::Map, "m");
    let hash = |partition: &Partition| {
        partition.replica.machine().store().scan(Table::Data, synod_storage::state::KeyRange::all()).count()
    };
    let before = hash(&partition);
    for bytes in [vec![0xff; 20], vec![], vec![1; 101]] {
        let propose = Propose { command: bytes.into(), ..Propose::default() };
        assert!(partition.call(request::Body::Propose(propose)).is_err());
    }
    assert_eq!(partition.propose(0, 0, 0, map, put("k", &"x".repeat(200))), Err(ErrorCode::Invalid));
    assert_eq!(partition.call(request::Body::Propose(Propose::default())), Err(ErrorCode::NotSupported));
    let nothing = Request { tag: 1_000, body: None };
    partition.input(Input::Request(CLIENT, nothing));
    assert_eq!(partition.reply(1_000), Some(Err(ErrorCode::NotSupported)));
    assert_eq!(hash(&partition), before);
    assert_eq!(partition.failed, None);
}

/// TTLs run out by themselves, although nobody writes.
#[test]
fn timers_fire_without_traffic() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let entry = map::PutRequest { key: "k".into(), ttl_ms: Some(500), ..Default::default() };
    partition.propose(0, 0, 0, map, Operation::MapPut(entry)).unwrap();
    let watch = partition.watch(map, 0, None);
    partition.run(ms(490));
    assert!(partition.keys(watch).is_empty(), "never early");
    partition.run(ms(20));
    assert_eq!(partition.keys(watch), ["k"]);
    let idle = partition.replica.status().protocol.last_index;
    partition.run(ms(5_000));
    assert_eq!(partition.replica.status().protocol.last_index, idle, "nothing is logged when nothing is due");
}

/// Whoever was a client of a group that was deleted is none of the one that has its name now.
#[test]
fn a_group_that_is_made_anew_counts_beyond_the_old_one() {
    let mut old = Partition::new();
    let map = old.create(PrimitiveKind::Map, "m");
    let session = old.open(5_000);
    for number in 0..100 {
        old.put(map, &format!("{number}"), "x");
    }
    let seen = old.replica.machine().applied();
    let mut genesis = genesis(Limits::default());
    genesis.configuration.born = LogTime(genesis.configuration.born.get() + 1);
    let mut store = MemoryStore::default();
    genesis.write(&mut store).unwrap();
    let (store, history) = (Box::new(store), History::default());
    let mut new = Partition::start(store, history, genesis.metadata(), Options::default());
    let map = new.create(PrimitiveKind::Map, "m");
    assert_eq!(new.keep_alive(session), Err(ErrorCode::SessionNotFound));
    assert_eq!(new.increment(session, 1, 0, map), Err(ErrorCode::SessionNotFound));
    let watch = new.watch(map, seen.position.get(), None);
    assert_eq!(new.reply(watch), Some(Err(ErrorCode::Compacted)));
    assert!(new.open(5_000) > seen.index.get(), "sessions, versions and fences are command indexes");
}
