//! Reads: linearizable by default, sequential on request.

use super::*;

#[test]
fn a_read_sees_every_write_that_was_answered_before() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    for expected in 1..=10 {
        partition.increment(0, 0, 0, hits).unwrap();
        assert_eq!(partition.count(hits), Ok(expected));
    }
}

#[test]
fn a_sequential_read_waits_for_what_its_client_has_seen() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let seen = partition.replica.machine().applied().index;
    let now = partition.send(get(hits, Consistency::Sequential, seen.get()));
    let later = partition.send(get(hits, Consistency::Sequential, seen.get() + 1));
    assert!(partition.reply(now).is_some());
    assert_eq!(partition.reply(later), None);
    partition.increment(0, 0, 0, hits).unwrap();
    let Some(Ok(reply::Body::Result(result))) = partition.reply(later) else { panic!("no answer") };
    assert_eq!(counter::GetResponse::decode(result).unwrap().value, 1);
}

#[test]
fn reads_are_bounded_and_checked() {
    let options = Options { reads_in_flight_max: 1, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    let seen = partition.replica.machine().applied().index;
    partition.send(get(hits, Consistency::Sequential, seen.get() + 1_000));
    assert_eq!(partition.count(hits), Err(ErrorCode::ResourceExhausted));
    partition.input(Input::Disconnected(CLIENT));
    assert_eq!(partition.count(hits), Ok(0), "what a client that is gone waits for is forgotten");
    let garbage = synod_proto::session::v1::Query { query: vec![0xff].into(), ..Default::default() };
    assert_eq!(partition.call(request::Body::Query(garbage)), Err(ErrorCode::Invalid));
    let unknown = synod_proto::session::v1::Query { consistency: 9, ..Default::default() };
    assert_eq!(partition.call(request::Body::Query(unknown)), Err(ErrorCode::Invalid));
}

#[test]
fn operators_are_told_what_cannot_be_done() {
    let mut partition = Partition::new();
    partition.input(Input::Admin(1, Admin::Transfer(None)));
    partition.input(Input::Admin(2, Admin::Promote(MemberId(5))));
    partition.input(Input::Admin(3, Admin::Remove(MEMBER)));
    partition.input(Input::Admin(4, Admin::Transfer(Some(MEMBER))));
    assert_eq!(partition.admin_replies[&1], Err(ErrorCode::Conflict));
    assert_eq!(partition.admin_replies[&2], Err(ErrorCode::Conflict));
    assert_eq!(partition.admin_replies[&3], Err(ErrorCode::Conflict));
    assert_eq!(partition.admin_replies[&4], Ok(MEMBER.get()));
}

#[test]
fn a_replica_whose_disk_failed_stops_and_says_so() {
    let mut partition = Partition::new();
    let hits = partition.create(PrimitiveKind::Counter, "hits");
    partition.disk_works = false;
    let propose = Propose { command: command(hits, increment()), ..Propose::default() };
    let tag = partition.send(request::Body::Propose(propose));
    partition
        .input(Input::DiskFailed(synod_types::Error::new(ErrorCode::Corrupt, "fsync: input/output error")));
    assert_eq!(partition.reply(tag), Some(Err(ErrorCode::Unavailable)));
    assert!(partition.failed.as_deref().is_some_and(|why| why.contains("input/output error")));
    partition.disk_works = true;
    partition.run(ms(1_000));
    assert!(partition.writes.is_empty(), "it never touches the disk again");
    assert!(partition.replica.deadline() > partition.now + ms(1_000), "it has nothing to be called for");
    assert_eq!(partition.count(hits), Err(ErrorCode::Unavailable));
    let tag = partition.send(request::Body::Propose(Propose::default()));
    let (_, body) = partition.replies[&(CLIENT, tag)].last().unwrap();
    let reply::Body::Error(error) = body else { panic!("{body:?}") };
    assert_eq!(error.leader, None, "nobody is sent to one that led when it stopped");
}
