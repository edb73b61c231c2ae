//! Watches: ordered, without gap or repeat, and never in the way of a writer.

use super::*;

fn prefix(prefix: &'static str) -> Option<watch::Filter> {
    Some(watch::Filter::Prefix(Bytes::from_static(prefix.as_bytes())))
}

#[test]
fn a_watch_is_acknowledged_first_and_then_told_everything_in_order() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    partition.put(map, "before", "x");
    let watch = partition.watch(map, 0, None);
    assert!(matches!(partition.reply(watch), Some(Ok(reply::Body::Watching(_)))));
    for key in ["a", "b", "a"] {
        partition.put(map, key, &format!("{:?}", partition.now));
        partition.run(ms(1));
    }
    assert_eq!(partition.keys(watch), ["a", "b", "a"]);
    let positions: Vec<_> = partition.events[&(CLIENT, watch)].iter().map(|event| event.position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
}

#[test]
fn filters_let_through_what_they_name() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let other = partition.create(PrimitiveKind::Map, "other");
    let exact = partition.watch(map, 0, Some(watch::Filter::Key(Bytes::from_static(b"ab"))));
    let wide = partition.watch(map, 0, prefix("a"));
    let narrow = partition.watch(map, 0, prefix("abc"));
    let all = partition.watch(map, 0, prefix(""));
    for key in ["a", "ab", "abc", "b"] {
        partition.put(map, key, "x");
        partition.put(other, key, "x");
    }
    assert_eq!(partition.keys(exact), ["ab"]);
    assert_eq!(partition.keys(wide), ["a", "ab", "abc"]);
    assert_eq!(partition.keys(narrow), ["abc"]);
    assert_eq!(partition.keys(all), ["a", "ab", "abc", "b"]);
}

#[test]
fn a_watch_resumes_after_the_last_position_it_has_seen() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let first = partition.watch(map, 0, None);
    partition.put(map, "a", "x");
    partition.put(map, "b", "x");
    let seen = partition.positions[&(CLIENT, first)];
    partition.input(Input::Disconnected(CLIENT));
    partition.put(map, "c", "x");
    partition.put(map, "d", "x");
    let second = partition.watch(map, seen.get(), None);
    partition.put(map, "e", "x");
    assert_eq!(partition.keys(first), ["a", "b"]);
    assert_eq!(partition.keys(second), ["c", "d", "e"]);
}

/// The place before the first change is a place like any other: whoever was there misses nothing.
#[test]
fn a_watch_that_began_before_the_first_change_resumes_there() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let first = partition.watch(map, 0, None);
    let Some(Ok(reply::Body::Watching(began))) = partition.reply(first) else { panic!("not acknowledged") };
    partition.input(Input::Disconnected(CLIENT));
    partition.put(map, "a", "x");
    let second = partition.watch(map, began.position, None);
    partition.flush();
    assert_eq!(partition.keys(second), ["a"]);
}

#[test]
fn a_watch_that_comes_too_late_is_told_so() {
    let limits = Limits { history_changes: 3, ..Limits::default() };
    let mut partition = Partition::with(limits, Options::default());
    let map = partition.create(PrimitiveKind::Map, "m");
    let begin = partition.replica.machine().applied().position.get();
    for key in ["a", "b", "c", "d", "e"] {
        partition.put(map, key, "x");
    }
    let gap = partition.watch(map, begin + 1, None);
    assert_eq!(partition.reply(gap), Some(Err(ErrorCode::Compacted)));
    let no_gap = partition.watch(map, begin + 2, None);
    partition.flush();
    assert_eq!(partition.keys(no_gap), ["c", "d", "e"]);
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up_and_misses_nothing() {
    let options = Options { events_in_flight_bytes_max: 200, ..Options::default() };
    let mut partition = Partition::with(Limits::default(), options);
    let map = partition.create(PrimitiveKind::Map, "m");
    let watch = partition.watch(map, 0, None);
    partition.clients_read = false;
    let keys: Vec<_> = (0..100).map(|number| format!("key-{number:03}")).collect();
    for key in &keys {
        partition.put(map, key, "x");
    }
    let handed_out = partition.keys(watch).len();
    assert!((1..20).contains(&handed_out), "{handed_out} events are under way");
    partition.clients_read = true;
    let unsent = partition.unsent_bytes.remove(&CLIENT).unwrap();
    partition.input(Input::EventsSent(CLIENT, unsent));
    assert_eq!(partition.keys(watch), keys);
    partition.put(map, "live again", "x");
    assert_eq!(partition.keys(watch).last().map(String::as_str), Some("live again"));
}

#[test]
fn a_client_that_does_not_read_falls_out_of_the_history_in_the_end() {
    let options = Options { events_in_flight_bytes_max: 50, ..Options::default() };
    let limits = Limits { history_changes: 10, ..Limits::default() };
    let mut partition = Partition::with(limits, options);
    let map = partition.create(PrimitiveKind::Map, "m");
    let watch = partition.watch(map, 0, None);
    partition.reply(watch);
    partition.clients_read = false;
    for number in 0..50 {
        partition.put(map, &number.to_string(), "x");
    }
    let unsent = partition.unsent_bytes.remove(&CLIENT).unwrap();
    partition.input(Input::EventsSent(CLIENT, unsent));
    assert_eq!(partition.reply(watch), Some(Err(ErrorCode::Compacted)));
    assert_eq!(partition.replica.status().watches, 0);
}

#[test]
fn a_cancelled_watch_is_silent() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let watch = partition.watch(map, 0, None);
    partition.put(map, "a", "x");
    partition.call(request::Body::CancelWatch(CancelWatch { watch })).unwrap();
    partition.put(map, "b", "x");
    assert_eq!(partition.keys(watch), ["a"]);
}

#[test]
fn a_quiet_watch_is_told_how_far_it_has_come() {
    let mut partition = Partition::new();
    let map = partition.create(PrimitiveKind::Map, "m");
    let watch = partition.watch(map, 0, prefix("nothing"));
    partition.put(map, "a", "x");
    assert_eq!(partition.positions.get(&(CLIENT, watch)), None);
    partition.run(ms(6_000));
    let last = partition.replica.machine().history().last();
    assert_eq!(partition.positions[&(CLIENT, watch)], last);
}

/// A replica that catches up may apply more at once than the history keeps.
#[test]
fn a_watch_is_told_when_more_was_applied_at_once_than_the_history_keeps() {
    let mut partition =
        Partition::with(Limits { history_changes: 2, ..Limits::default() }, Options::default());
    let map = partition.create(PrimitiveKind::Map, "m");
    let watch = partition.watch(map, 0, None);
    partition.put(map, "a", "x");
    partition.disk_works = false;
    for key in ["b", "c", "d", "e"] {
        let propose = Propose { command: command(map, put(key, "x")), ..Propose::default() };
        partition.send(request::Body::Propose(propose));
    }
    partition.disk_works = true;
    partition.flush();
    // "b" was written alone; the others shared an entry, which is one more than the history keeps.
    assert_eq!(partition.keys(watch), ["a", "b"], "what is gone is not passed over in silence");
    assert_eq!(partition.reply(watch), Some(Err(ErrorCode::Compacted)));
}
