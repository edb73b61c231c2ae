//! The pipeline against a scripted server.

use bytes::Bytes;
use synod_proto::session::v1 as wire;
use synod_proto::session::v1::request::Body as Asked;
use synod_proto::session::v1::{
    Chunk, Consistency, Delivery, Opened, Propose, Reply, ServerFrame, Watching, reply,
};
use synod_types::{Position, SessionId};
use tokio::sync::mpsc;
use tokio::sync::oneshot::error::TryRecvError;

use super::sending::{FRAME_REQUESTS_MAX, IN_FLIGHT_MAX};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const START: Monotonic = Monotonic::from_nanos(1_000_000_000_000);
const SESSION: u64 = 77;

struct Client {
    pipeline: Pipeline,
    now: Monotonic,
    last_id: RequestId,
}

type Answered = oneshot::Receiver<Result<Answer>>;

/// A request that was sent: its tag and what it asks.
type Sent = (u64, Asked);

impl Client {
    fn new() -> Self {
        let settings = Settings {
            session_timeout: SECOND * 20,
            stall_timeout: SECOND * 3,
            client_name: "test".to_owned(),
        };
        Self { pipeline: Pipeline::new(settings, Arc::default(), 1), now: START, last_id: 0 }
    }

    fn connected() -> Self {
        let mut client = Self::new();
        client.pipeline.connected(client.now);
        client
    }

    /// A client with an open session.
    fn in_session() -> Self {
        let mut client = Self::connected();
        let mut first = client.write("first");
        let sent = client.send();
        assert!(matches!(sent.as_slice(), [(_, Asked::Open(_))]), "{sent:?}");
        client.answer(sent[0].0, reply::Body::Opened(Opened { session_id: SESSION }));
        let sent = client.send();
        client.succeed(sent[0].0);
        assert!(first.try_recv().unwrap().is_ok());
        client
    }

    fn submit(&mut self, work: Work) -> Answered {
        let (answer, answered) = oneshot::channel();
        self.last_id += 1;
        let deadline = Some(self.now + SECOND * 10);
        self.pipeline.submit(Request { id: self.last_id, work, deadline, answer: Some(answer) });
        answered
    }

    fn write(&mut self, command: &'static str) -> Answered {
        self.write_under(command, Under::Any)
    }

    fn write_under(&mut self, command: &'static str, under: Under) -> Answered {
        self.submit(Work::Write { command: command.into(), under, patient: true })
    }

    fn read(&mut self) -> Answered {
        self.submit(Work::Read { query: Bytes::new(), consistency: Consistency::Linearizable })
    }

    fn send(&mut self) -> Vec<Sent> {
        self.pipeline.tick(self.now);
        let wants_to_send = self.pipeline.wants_to_send(self.now);
        let frame = self.pipeline.next_frame(self.now);
        assert_eq!(wants_to_send, frame.is_some());
        frame
            .unwrap_or_default()
            .requests
            .into_iter()
            .map(|request| (request.tag, request.body.unwrap()))
            .collect()
    }

    /// What was proposed: tag, sequence, acknowledged, command.
    fn send_writes(&mut self) -> Vec<(u64, Propose)> {
        let sent = self.send().into_iter();
        sent.filter_map(|(tag, asked)| match asked {
            Asked::Propose(propose) => Some((tag, propose)),
            _ => None,
        })
        .collect()
    }

    fn answer(&mut self, tag: u64, body: reply::Body) {
        let replies = vec![Reply { tag, index: 5, body: Some(body) }];
        self.pipeline.receive(self.now, ServerFrame { replies, deliveries: Vec::new() });
    }

    fn succeed(&mut self, tag: u64) {
        self.answer(tag, reply::Body::Result(Bytes::from_static(b"done")));
    }

    fn refuse(&mut self, tag: u64, error: Error) {
        self.answer(tag, reply::Body::Error(synod_types::Error::from(error).into()));
    }

    fn reconnect(&mut self) {
        self.pipeline.disconnected(None);
        self.pipeline.connected(self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.pipeline.tick(self.now);
    }
}

fn sequences(sent: &[(u64, Propose)]) -> Vec<u64> {
    sent.iter().map(|(_, propose)| propose.sequence).collect()
}

fn not_leader() -> Error {
    Error::new(ErrorCode::NotLeader, "member 2 leads")
}

#[test]
fn reads_need_no_session_and_writes_open_one() {
    let mut client = Client::connected();
    let _read = client.read();
    assert!(matches!(client.send().as_slice(), [(_, Asked::Query(_))]));
    let _write = client.write("a");
    assert!(matches!(client.send().as_slice(), [(_, Asked::Open(_))]));
    assert_eq!(client.send(), [], "the write waits for its session");
}

#[test]
fn sequences_count_up_and_what_is_answered_is_acknowledged_without_gaps() {
    let mut client = Client::in_session();
    let answers: Vec<_> = (0..3).map(|_| client.write("a")).collect();
    let sent = client.send_writes();
    assert_eq!(sequences(&sent), [2, 3, 4]);
    assert!(sent.iter().all(|(_, propose)| propose.session_id == SESSION && propose.acknowledged == 1));
    client.succeed(sent[2].0);
    client.succeed(sent[1].0);
    let _write = client.write("b");
    assert_eq!(client.send_writes()[0].1.acknowledged, 1, "2 is not answered");
    client.succeed(sent[0].0);
    let _write = client.write("c");
    assert_eq!(client.send_writes()[0].1.acknowledged, 4, "5 is not answered");
    for mut answer in answers {
        assert_eq!(answer.try_recv().unwrap().unwrap().tenure.unwrap().session(), SessionId(SESSION));
    }
}

#[test]
fn after_a_lost_connection_everything_is_sent_again_in_order_under_the_same_sequences() {
    let mut client = Client::in_session();
    let _writes: Vec<_> = (0..3).map(|_| client.write("a")).collect();
    let sent = client.send_writes();
    client.succeed(sent[1].0);
    client.reconnect();
    let _late = client.write("b");
    let again = client.send_writes();
    assert_eq!(sequences(&again), [2, 4, 5]);
    assert!(again.iter().all(|(tag, _)| *tag > sent[2].0), "no tag is used twice");
    client.succeed(sent[0].0);
    assert_eq!(client.pipeline.pending.len(), 3, "the answer on the old stream is not one on the new");
}

#[test]
fn a_new_stream_asks_at_once_whether_the_session_lives() {
    let mut client = Client::in_session();
    client.reconnect();
    assert!(matches!(client.send().as_slice(), [(_, Asked::KeepAlive(_))]));
}

#[test]
fn keep_alives_go_out_four_times_a_timeout_and_confirm_from_when_they_were_sent() {
    let mut client = Client::in_session();
    let tenure = client.pipeline.session.open().unwrap().tenure.clone();
    let opened = tenure.span();
    assert_eq!(client.pipeline.deadline(client.now), Some(START + SECOND * 5));
    client.pass(SECOND * 5);
    let sent = client.send();
    assert!(matches!(sent.as_slice(), [(_, Asked::KeepAlive(_))]), "{sent:?}");
    client.pass(SECOND);
    assert_eq!(client.send(), [], "one at a time");
    client.succeed(sent[0].0);
    assert_eq!(tenure.span(), crate::hold::Span::new(START + SECOND * 25, SECOND * 20));
    assert_ne!(tenure.span(), opened);
}

#[test]
fn a_write_that_was_refused_for_another_leader_is_sent_there_under_the_same_sequence() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    let sent = client.send_writes();
    client.refuse(sent[0].0, not_leader());
    assert_eq!(client.pipeline.redirect(), Some(Redirect { leader: None }));
    client.reconnect();
    let again = client.send_writes();
    assert_eq!(sequences(&again), [2]);
    client.succeed(again[0].0);
    assert!(write.try_recv().unwrap().is_ok());
}

#[test]
fn what_cannot_be_done_now_is_tried_later_and_a_result_is_not() {
    let mut client = Client::in_session();
    let mut overloaded = client.write("a");
    let mut conflict = client.write("b");
    let sent = client.send_writes();
    client.refuse(sent[0].0, Error::new(ErrorCode::ResourceExhausted, "too much"));
    client.refuse(sent[1].0, Error::new(ErrorCode::Conflict, "another version"));
    assert_eq!(conflict.try_recv().unwrap().unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(client.send_writes(), []);
    let at = client.pipeline.deadline(client.now).unwrap();
    assert!(at.since(client.now) <= Duration::from_millis(10));
    client.pass(at.since(client.now));
    let again = client.send_writes();
    assert_eq!(sequences(&again), [2]);
    assert!(matches!(overloaded.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn overload_is_the_result_for_whoever_does_not_want_to_try_again() {
    let mut client = Client::in_session();
    let impatient = Work::Write { command: Bytes::new(), under: Under::Any, patient: false };
    let mut write = client.submit(impatient);
    let sent = client.send_writes();
    client.refuse(sent[0].0, Error::new(ErrorCode::ResourceExhausted, "the queue is full"));
    assert_eq!(write.try_recv().unwrap().unwrap_err().code(), ErrorCode::ResourceExhausted);
}

#[test]
fn a_write_that_was_never_sent_times_out_without_doubt() {
    let mut client = Client::new();
    let mut write = client.write("a");
    client.pipeline.disconnected(Some(Error::new(ErrorCode::Unavailable, "connection refused")));
    client.pass(SECOND * 10);
    let error = write.try_recv().unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(!error.may_have_happened());
    assert!(error.to_string().ends_with("nothing was done: connection refused"), "{error}");
}

#[test]
fn a_write_that_was_sent_times_out_in_doubt_and_a_read_does_not() {
    let mut client = Client::in_session();
    let (mut write, mut read) = (client.write("a"), client.read());
    assert_eq!(client.send().len(), 2);
    client.pass(SECOND * 10);
    assert!(write.try_recv().unwrap().unwrap_err().may_have_happened());
    assert!(!read.try_recv().unwrap().unwrap_err().may_have_happened());
}

#[test]
fn a_write_that_was_refused_for_certain_times_out_without_doubt() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    let sent = client.send_writes();
    client.refuse(sent[0].0, not_leader());
    client.pass(SECOND * 10);
    assert!(!write.try_recv().unwrap().unwrap_err().may_have_happened());
}

#[test]
fn what_was_given_up_is_never_sent_again_and_holds_no_acknowledgement_back() {
    let mut client = Client::in_session();
    let abandoned = client.write("a");
    client.send_writes();
    drop(abandoned);
    client.pipeline.abandon(client.last_id);
    let _write = client.write("b");
    let sent = client.send_writes();
    assert_eq!((sent[0].1.sequence, sent[0].1.acknowledged), (3, 2));
    client.reconnect();
    assert_eq!(sequences(&client.send_writes()), [3]);
}

#[test]
fn what_was_given_up_is_settled_once_nothing_before_it_waits() {
    let mut client = Client::in_session();
    let _waits = client.write("a");
    let _given_up = client.write("b");
    let sent = client.send_writes();
    client.pipeline.abandon(client.last_id);
    let _later = client.write("c");
    assert_eq!(client.send_writes()[0].1.acknowledged, 1, "the first may have to be sent again");
    client.succeed(sent[0].0);
    let _last = client.write("d");
    assert_eq!(client.send_writes()[0].1.acknowledged, 3);
}

#[test]
fn what_was_given_up_before_it_was_sent_is_never_sent_and_needs_no_session() {
    let mut client = Client::connected();
    let abandoned = client.write("a");
    drop(abandoned);
    client.pipeline.abandon(client.last_id);
    assert_eq!(client.send(), []);
    assert!(!client.pipeline.needs_connection());
}

#[test]
fn a_session_that_is_over_leaves_no_doubt_about_what_it_refused() {
    let mut client = Client::in_session();
    let tenure = client.pipeline.session.open().unwrap().tenure.clone();
    let mut write = client.write("a");
    let sent = client.send_writes();
    client.refuse(sent[0].0, session_over());
    assert!(tenure.has_ended());
    assert!(matches!(write.try_recv(), Err(TryRecvError::Empty)), "it goes on under the next session");
    let sent = client.send();
    assert!(matches!(sent.as_slice(), [(_, Asked::Open(_))]), "{sent:?}");
    client.answer(sent[0].0, reply::Body::Opened(Opened { session_id: 99 }));
    let sent = client.send_writes();
    assert_eq!((sent[0].1.session_id, sent[0].1.sequence), (99, 1));
    client.succeed(sent[0].0);
    assert!(write.try_recv().unwrap().is_ok());
}

#[test]
fn a_session_that_is_over_leaves_doubt_about_what_was_sent_before_the_connection_was_lost() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    client.send_writes();
    client.pipeline.disconnected(None);
    client.pipeline.connected(client.now);
    let sent = client.send();
    let keep_alive = sent.iter().find(|(_, asked)| matches!(asked, Asked::KeepAlive(_))).unwrap().0;
    client.refuse(keep_alive, session_over());
    let propose = sent.iter().find(|(_, asked)| matches!(asked, Asked::Propose(_))).unwrap().0;
    client.refuse(propose, session_over());
    let error = write.try_recv().unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::SessionNotFound);
    assert!(error.may_have_happened());
}

#[test]
fn an_unknown_outcome_is_resolved_by_asking_again() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    let sent = client.send_writes();
    client.refuse(sent[0].0, Error::ambiguous(ErrorCode::Unavailable, "leadership was lost"));
    client.pass(SECOND);
    let again = client.send_writes();
    assert_eq!(sequences(&again), [2]);
    client.succeed(again[0].0);
    assert!(write.try_recv().unwrap().is_ok());
}

#[test]
fn what_belongs_to_a_session_ends_with_it() {
    let mut client = Client::in_session();
    let session = SessionId(SESSION);
    let mut other = client.write_under("a", Under::Only(SessionId(1)));
    assert_eq!(other.try_recv().unwrap().unwrap_err().code(), ErrorCode::SessionNotFound);
    let mut bound = client.write_under("b", Under::Only(session));
    let sent = client.send_writes();
    client.refuse(sent[0].0, session_over());
    let error = bound.try_recv().unwrap().unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::SessionNotFound, false));
    let mut current = client.write_under("c", Under::Current);
    assert_eq!(current.try_recv().unwrap().unwrap_err().code(), ErrorCode::SessionNotFound);
    assert_eq!(client.send(), [], "no session is opened for it");
}

#[test]
fn a_silent_server_that_owes_an_answer_is_stalled() {
    let mut client = Client::connected();
    client.pass(SECOND * 60);
    assert!(!client.pipeline.is_stalled(client.now), "nothing was asked");
    let _read = client.read();
    let sent = client.send();
    client.pass(SECOND * 3 - Duration::from_nanos(1));
    assert!(!client.pipeline.is_stalled(client.now));
    client.pass(Duration::from_nanos(1));
    assert!(client.pipeline.is_stalled(client.now));
    client.succeed(sent[0].0);
    client.pass(SECOND * 60);
    assert!(!client.pipeline.is_stalled(client.now), "nothing is owed");
}

#[test]
fn what_is_in_flight_is_bounded() {
    let mut client = Client::in_session();
    let _reads: Vec<_> = (0..10_000).map(|_| client.read()).collect();
    let _writes: Vec<_> = (0..10_000).map(|_| client.write("a")).collect();
    let mut sent = Vec::new();
    loop {
        let frame = client.send();
        if frame.is_empty() {
            break;
        }
        assert!(frame.len() <= FRAME_REQUESTS_MAX + 2);
        sent.extend(frame);
    }
    assert!(sent.len() <= IN_FLIGHT_MAX + 1, "{}", sent.len());
    let writes = sent.iter().filter(|(_, asked)| matches!(asked, Asked::Propose(_))).count();
    assert!(
        (writes * 2).abs_diff(sent.len()) <= 2,
        "neither keeps the other out: {writes} of {}",
        sent.len()
    );
    client.succeed(sent[0].0);
    assert!((1..=2).contains(&client.send().len()));
}

#[test]
fn sequences_do_not_run_away_from_one_that_is_not_answered() {
    let mut client = Client::in_session();
    let mut stuck = client.write("stuck");
    let first = client.send_writes()[0].0;
    let (mut last, mut waiting) = (2, Vec::new());
    loop {
        waiting.push(client.write("a"));
        let sent = client.send_writes();
        let Some((tag, propose)) = sent.first() else { break };
        last = propose.sequence;
        client.succeed(*tag);
        client.now = START;
    }
    assert!((7_000..10_000).contains(&last), "{last}: less than the server keeps results for");
    client.succeed(first);
    assert!(stuck.try_recv().unwrap().is_ok());
    assert_eq!(client.send_writes()[0].1.acknowledged, last);
}

#[test]
fn frames_are_bounded_in_bytes_and_a_request_that_would_break_the_stream_is_refused() {
    let mut client = Client::in_session();
    let big = || Work::Write { command: vec![0; 700_000].into(), under: Under::Any, patient: true };
    let _writes: Vec<_> = (0..4).map(|_| client.submit(big())).collect();
    assert_eq!(client.send_writes().len(), 2);
    assert_eq!(client.send_writes().len(), 2);
    let giant =
        Work::Read { query: vec![0; REQUEST_BYTES_MAX + 1].into(), consistency: Consistency::Linearizable };
    let error = client.submit(giant).try_recv().unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
}

#[test]
fn closing_finishes_what_waits_then_closes_the_session() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    client.pipeline.close();
    let mut late = client.write("b");
    assert_eq!(late.try_recv().unwrap().unwrap_err().code(), ErrorCode::Cancelled);
    let sent = client.send_writes();
    assert!(!client.pipeline.is_closed());
    client.succeed(sent[0].0);
    assert!(write.try_recv().unwrap().is_ok());
    let sent = client.send();
    assert!(matches!(sent.as_slice(), [(_, Asked::Close(_))]), "{sent:?}");
    client.refuse(sent[0].0, not_leader());
    assert!(!client.pipeline.is_closed());
    client.reconnect();
    let sent = client.send();
    assert!(matches!(sent.as_slice(), [(_, Asked::Close(_))]), "{sent:?}");
    client.succeed(sent[0].0);
    assert!(client.pipeline.is_closed());
}

#[test]
fn whoever_still_waits_at_the_end_is_told_what_is_certain() {
    let mut client = Client::in_session();
    let mut sent = client.write("a");
    client.send_writes();
    let mut unsent = client.write("b");
    client.pipeline.give_up();
    assert!(sent.try_recv().unwrap().unwrap_err().may_have_happened());
    assert!(!unsent.try_recv().unwrap().unwrap_err().may_have_happened());
}

#[test]
fn a_session_that_cannot_be_had_fails_the_writes_that_need_it() {
    let mut client = Client::connected();
    let mut write = client.write("a");
    let sent = client.send();
    client.refuse(sent[0].0, Error::new(ErrorCode::ResourceExhausted, "100000 sessions are open"));
    client.pass(SECOND);
    let sent = client.send();
    assert!(matches!(sent.as_slice(), [(_, Asked::Open(_))]), "it is asked for again");
    client.refuse(sent[0].0, Error::new(ErrorCode::ResourceExhausted, "100000 sessions are open"));
    client.pass(SECOND * 9);
    let error = write.try_recv().unwrap().unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::ResourceExhausted, false), "{error}");
    let mut write = client.write("b");
    let sent = client.send();
    client.refuse(sent[0].0, Error::new(ErrorCode::Invalid, "a timeout of 1 ms is not allowed"));
    assert_eq!(write.try_recv().unwrap().unwrap_err().code(), ErrorCode::Invalid);
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error_and_ends_nothing_else() {
    let mut client = Client::in_session();
    let mut write = client.write("a");
    let sent = client.send_writes();
    client.answer(999, reply::Body::Result(Bytes::new()));
    client.answer(sent[0].0, reply::Body::Chunk(Chunk::default()));
    let error = write.try_recv().unwrap().unwrap_err();
    assert_eq!((error.code(), error.may_have_happened()), (ErrorCode::Internal, true));
}

fn watch(client: &mut Client, room: usize) -> (RequestId, mpsc::Receiver<Result<WatchItem>>) {
    let (items, received) = mpsc::channel(room);
    client.last_id += 1;
    let watch = wire::Watch { primitive: 3, after_position: 4, ..Default::default() };
    client.pipeline.watch(WatchRequest { id: client.last_id, watch, items });
    (client.last_id, received)
}

fn deliver(client: &mut Client, tag: u64, position: u64) {
    let delivery = Delivery { tag, events: vec![Bytes::new()], position };
    let frame = ServerFrame { replies: Vec::new(), deliveries: vec![delivery] };
    client.pipeline.receive(client.now, frame);
}

#[test]
fn a_watch_is_handed_what_comes_until_its_stream_is_gone() {
    let mut client = Client::connected();
    let (_, mut items) = watch(&mut client, 8);
    let sent = client.send();
    assert!(matches!(sent[0].1, Asked::Watch(wire::Watch { after_position: 4, .. })));
    client.answer(sent[0].0, reply::Body::Watching(Watching { position: 4 }));
    deliver(&mut client, sent[0].0, 6);
    assert_eq!(items.try_recv().unwrap().unwrap(), WatchItem::Started(Position(4)));
    assert_eq!(items.try_recv().unwrap().unwrap(), WatchItem::Events(vec![Bytes::new()], Position(6)));
    client.pass(SECOND * 60);
    assert!(!client.pipeline.is_stalled(client.now), "a watch is owed nothing");
    client.reconnect();
    assert_eq!(items.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(client.send(), []);
}

#[test]
fn a_watcher_that_is_too_slow_has_to_watch_again() {
    let mut client = Client::connected();
    let (_, mut items) = watch(&mut client, 2);
    let tag = client.send()[0].0;
    client.answer(tag, reply::Body::Watching(Watching { position: 4 }));
    deliver(&mut client, tag, 5);
    deliver(&mut client, tag, 6);
    deliver(&mut client, tag, 7);
    let cancelled = client.send();
    assert!(
        matches!(cancelled.as_slice(), [(_, Asked::CancelWatch(cancel))] if cancel.watch == tag),
        "{cancelled:?}"
    );
    assert!(items.try_recv().is_ok() && items.try_recv().is_ok(), "what it had room for it has");
    assert_eq!(items.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}

#[test]
fn a_watch_that_nobody_wants_any_more_is_cancelled_and_one_that_was_lost_says_why() {
    let mut client = Client::connected();
    let (id, _items) = watch(&mut client, 8);
    let (_, mut lost) = watch(&mut client, 8);
    let sent = client.send();
    client.pipeline.cancel_watch(id);
    assert!(matches!(client.send().as_slice(), [(_, Asked::CancelWatch(_))]));
    client.answer(sent[1].0, reply::Body::Watching(Watching { position: 4 }));
    client.refuse(sent[1].0, Error::new(ErrorCode::Compacted, "too far back"));
    assert!(lost.try_recv().unwrap().is_ok());
    assert_eq!(lost.try_recv().unwrap().unwrap_err().code(), ErrorCode::Compacted);
    assert_eq!(lost.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
}
