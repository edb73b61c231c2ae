//! How writes share entries.

use synod_proto::session::v1::{Propose, request};
use synod_storage::state::KeyRange;

use super::*;

impl Partition {
    fn log_index(&self) -> u64 {
        self.replica.machine().applied().log_index.get()
    }

    /// Sends increments of a counter without waiting for their answers.
    fn send_increments(&mut self, counter: PrimitiveId, count: usize) -> Vec<Tag> {
        let propose = Propose { command: command(counter, increment()), ..Propose::default() };
        (0..count).map(|_| self.send(request::Body::Propose(propose.clone()))).collect()
    }
}

#[test]
fn what_comes_while_the_disk_is_busy_shares_one_entry() {
    let mut partition = Partition::new();
    let counter = partition.create(PrimitiveKind::Counter, "hits");
    let begin = partition.log_index();

    partition.disk_works = false;
    let first = partition.send_increments(counter, 1);
    let others = partition.send_increments(counter, 99);
    assert_eq!(partition.writes.len(), 1, "the disk has a write");

    partition.disk_works = true;
    partition.flush();
    assert_eq!(partition.log_index(), begin + 2, "one entry for the first, one for all others");
    for tag in first.into_iter().chain(others) {
        assert!(matches!(partition.reply(tag), Some(Ok(reply::Body::Result(_)))));
    }
    assert_eq!(partition.count(counter), Ok(100));
}

#[test]
fn a_write_that_finds_nothing_under_way_goes_at_once() {
    let mut partition = Partition::new();
    let counter = partition.create(PrimitiveKind::Counter, "hits");
    partition.disk_works = false;
    partition.send_increments(counter, 1);
    assert_eq!(partition.writes.len(), 1);
    assert_eq!(partition.writes[0].entries.len(), 1);
}

#[test]
fn a_timer_that_is_due_waits_for_the_disk_without_calls() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "cache");
    let ttl_ms = Some(50);
    let put = map::PutRequest { key: "key".into(), value: "value".into(), ttl_ms, ..Default::default() };
    partition.propose(0, 0, 0, map, Operation::MapPut(put)).unwrap();
    partition.disk_works = false;
    let propose = Propose { command: command(map, super::put("other", "value")), ..Propose::default() };
    let other = partition.send(request::Body::Propose(propose));
    partition.now = partition.now + ms(60);
    partition.flush();
    assert!(partition.replica.deadline() > partition.now, "nothing can be done before the disk answers");
    partition.disk_works = true;
    partition.run(ms(5));
    assert!(partition.reply(other).is_some());
    let timers = partition.replica.machine().store().scan(Table::Timers, KeyRange::all());
    assert_eq!(timers.count(), 0, "it has fired");
}
