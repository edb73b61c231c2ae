//! The lock over time, and the handle through which the tests of its commands speak to it.

use synod_proto::lock::v1 as wire;
use synod_proto::lock::v1::acquire_response::Outcome as Answered;
use synod_proto::lock::v1::event::{Event as What, GaveUp, Lost, Reason};
use synod_proto::lock::v1::{AcquireRequest, Mode};
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::query::Operation as QueryOperation;
use synod_proto::primitive::v1::{Delete, DeleteResponse, event};
use synod_types::{ErrorCode, PrimitiveId, PrimitiveKind, SessionId};

use crate::testing::Machine;

/// A request for write mode that waits for ever.
pub(super) fn write(request_id: &str) -> AcquireRequest {
    AcquireRequest { request_id: request_id.into(), mode: Mode::Write.into(), ..Default::default() }
}

/// A request for read mode that waits for ever.
pub(super) fn read(request_id: &str) -> AcquireRequest {
    AcquireRequest { mode: Mode::Read.into(), ..write(request_id) }
}

/// One lock on a machine of its own.
pub(super) struct Lock {
    pub(super) machine: Machine,
    id: PrimitiveId,
}

impl Lock {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Lock, "l");
        Self { machine, id }
    }

    pub(super) fn acquire(&mut self, session: u64, request: AcquireRequest) -> Result<Answered, ErrorCode> {
        self.machine.session = SessionId(session);
        let response: wire::AcquireResponse = self.machine.apply(self.id, Operation::LockAcquire(request))?;
        Ok(response.outcome.unwrap())
    }

    /// Acquires what must be granted at once, and returns the fence.
    pub(super) fn hold(&mut self, session: u64, request: AcquireRequest) -> u64 {
        match self.acquire(session, request) {
            Ok(Answered::Granted(granted)) => granted.fence,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Acquires what must wait, and returns how many are in front.
    pub(super) fn wait(&mut self, session: u64, request: AcquireRequest) -> u64 {
        match self.acquire(session, request) {
            Ok(Answered::Queued(queued)) => queued.ahead,
            other => panic!("not queued: {other:?}"),
        }
    }

    pub(super) fn release(&mut self, session: u64, request_id: &str, fence: u64) -> Result<bool, ErrorCode> {
        self.machine.session = SessionId(session);
        let request = wire::ReleaseRequest { request_id: request_id.into(), fence, ..Default::default() };
        let response: wire::ReleaseResponse = self.machine.apply(self.id, Operation::LockRelease(request))?;
        Ok(response.was_held)
    }

    pub(super) fn renew(
        &mut self,
        request_id: &str,
        fence: u64,
        lease_ms: Option<u64>,
    ) -> Result<u64, ErrorCode> {
        let request =
            wire::RenewRequest { request_id: request_id.into(), fence, lease_ms, ..Default::default() };
        let response: wire::RenewResponse = self.machine.apply(self.id, Operation::LockRenew(request))?;
        Ok(response.lease_ms)
    }

    pub(super) fn force_release(&mut self, fence: u64) -> Result<(), ErrorCode> {
        self.machine.session = SessionId(0);
        let request = wire::ForceReleaseRequest { fence, ..Default::default() };
        let response = self.machine.apply(self.id, Operation::LockForceRelease(request));
        response.map(|_: wire::ForceReleaseResponse| ())
    }

    pub(super) fn get(&mut self) -> wire::GetResponse {
        self.machine.query(self.id, QueryOperation::LockGet(wire::GetRequest::default())).unwrap()
    }

    /// The request ids that hold, in the order of their fences.
    pub(super) fn holders(&mut self) -> Vec<String> {
        self.get().holders.into_iter().map(|holder| holder.request_id).collect()
    }

    /// The request ids that wait, in order.
    pub(super) fn waiters(&mut self) -> Vec<String> {
        self.get().queue.into_iter().map(|waiter| waiter.request_id).collect()
    }

    /// The fences of those who hold.
    pub(super) fn fences(&mut self) -> Vec<u64> {
        self.get().holders.into_iter().map(|holder| holder.fence).collect()
    }

    pub(super) fn is_current(&mut self, fence: u64) -> bool {
        let request = wire::CheckFenceRequest { fence, ..Default::default() };
        let response: wire::CheckFenceResponse =
            self.machine.query(self.id, QueryOperation::LockCheckFence(request)).unwrap();
        response.current
    }

    pub(super) fn delete_and_create(&mut self) {
        let deleted = self.machine.apply(self.id, Operation::Delete(Delete {}));
        assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
        self.machine.create(PrimitiveKind::Lock, "l");
    }

    /// What happened since the last call, by request id.
    pub(super) fn events(&mut self) -> Vec<(String, What)> {
        let changes = self.machine.take_changes().into_iter();
        changes
            .map(|change| match change.event {
                event::Event::Lock(event) => {
                    assert_eq!(change.key, event.request_id, "watchers filter by request id");
                    (event.request_id, event.event.unwrap())
                }
                other => panic!("a lock emits lock events, not {other:?}"),
            })
            .collect()
    }
}

fn lost(fence: u64, reason: Reason) -> What {
    What::Lost(Lost { fence, reason: reason.into() })
}

fn gave_up(reason: Reason) -> What {
    What::GaveUp(GaveUp { reason: reason.into() })
}

#[test]
fn a_lease_that_runs_out_passes_the_lock_on_in_one_step() {
    let mut lock = Lock::new();
    let fence = lock.hold(0, AcquireRequest { lease_ms: Some(100), ..write("a") });
    lock.wait(0, AcquireRequest { lease_ms: Some(100), ..write("b") });
    lock.events();
    assert_eq!(lock.machine.advance_ms(99), 0);
    assert!(lock.is_current(fence));
    assert_eq!(lock.machine.advance_ms(1), 1);
    let events = lock.events();
    assert_eq!(events[0], ("a".into(), lost(fence, Reason::LeaseExpired)));
    let What::Granted(granted) = &events[1].1 else { panic!("{events:?}") };
    assert!(events[1].0 == "b" && granted.fence > fence && granted.lease_ms == Some(100));
    assert!(!lock.is_current(fence) && lock.is_current(granted.fence));
}

#[test]
fn leases_set_in_one_step_all_run_out() {
    let mut lock = Lock::new();
    let fence = lock.hold(1, write("w"));
    for reader in ["a", "b", "c"] {
        lock.wait(0, AcquireRequest { lease_ms: Some(100), ..read(reader) });
    }
    lock.release(1, "w", fence).unwrap();
    assert_eq!(lock.holders(), ["a", "b", "c"]);
    assert_eq!(lock.machine.advance_ms(100), 3);
    assert_eq!(lock.holders().len(), 0);
}

/// Entries without commands use no index up, so what they set must not be told apart by the index alone.
#[test]
fn leases_set_anew_by_several_ticks_all_run_out() {
    let mut lock = Lock::new();
    for reader in ["a", "b", "c"] {
        lock.hold(0, AcquireRequest { lease_ms: Some(1_000), ..read(reader) });
        lock.machine.advance_ms(100);
    }
    lock.machine.change_leader_after_ms(100);
    for _ in 0..9 {
        lock.machine.advance_ms(100);
    }
    assert_eq!(lock.holders(), ["a", "b", "c"]);
    assert_eq!(lock.machine.advance_ms(100), 3);
    assert_eq!(lock.holders().len(), 0);
}

#[test]
fn a_grant_with_lease_and_session_ends_with_whichever_is_first() {
    let mut lock = Lock::new();
    let leased = |request_id| AcquireRequest { lease_ms: Some(100), ..write(request_id) };
    lock.hold(1, leased("a"));
    lock.machine.end_session(SessionId(1));
    assert_eq!(lock.holders().len(), 0);
    lock.hold(2, leased("b"));
    lock.machine.advance_ms(100);
    assert_eq!(lock.holders().len(), 0);
    lock.machine.end_session(SessionId(2));
    assert_eq!(lock.get().queue, []);
}

#[test]
fn bug_closing_an_old_session_does_not_release_the_new_holder() {
    let mut lock = Lock::new();
    let first = lock.hold(1, write("a"));
    lock.release(1, "a", first).unwrap();
    let second = lock.hold(2, write("b"));
    lock.events();
    lock.machine.end_session(SessionId(1));
    assert!(lock.is_current(second));
    assert_eq!(lock.events(), []);
}

#[test]
fn bug_closing_an_old_session_does_not_end_a_request_id_that_another_uses_now() {
    let mut lock = Lock::new();
    let first = lock.hold(1, write("a"));
    lock.release(1, "a", first).unwrap();
    lock.machine.advance_ms(600_000);
    let second = lock.hold(2, write("a"));
    lock.machine.end_session(SessionId(1));
    assert!(lock.is_current(second));
}

#[test]
fn bug_a_waiter_whose_session_ended_is_not_granted() {
    let mut lock = Lock::new();
    let fence = lock.hold(1, write("a"));
    lock.wait(2, write("b"));
    lock.wait(3, write("c"));
    lock.events();
    lock.machine.end_session(SessionId(2));
    assert_eq!(lock.events(), [("b".into(), gave_up(Reason::SessionEnded))]);
    lock.release(1, "a", fence).unwrap();
    assert_eq!(lock.holders(), ["c"]);
}

#[test]
fn the_end_of_a_session_ends_all_its_requests_before_anybody_is_granted() {
    let mut lock = Lock::new();
    lock.hold(1, write("a"));
    lock.wait(1, write("b"));
    lock.wait(2, write("c"));
    lock.machine.end_session(SessionId(1));
    assert_eq!(lock.holders(), ["c"]);
    assert_eq!(lock.acquire(1, write("b")), Err(ErrorCode::NotHeld));
}

#[test]
fn a_wait_ends_at_its_deadline_and_lets_those_behind_through() {
    let mut lock = Lock::new();
    lock.hold(1, read("a"));
    lock.wait(2, AcquireRequest { max_wait_ms: Some(500), ..write("b") });
    lock.wait(3, read("c"));
    lock.events();
    assert_eq!(lock.machine.advance_ms(499), 0);
    assert_eq!(lock.machine.advance_ms(1), 1);
    assert_eq!(lock.events()[0], ("b".into(), gave_up(Reason::WaitExpired)));
    assert_eq!(lock.holders(), ["a", "c"]);
    assert_eq!(lock.acquire(2, write("b")), Err(ErrorCode::NotHeld));
    assert_eq!(
        lock.machine.last_error(),
        "request \"b\" has waited as long as it wanted: acquire again under a new request id"
    );
}

#[test]
fn a_grant_cancels_the_deadline_of_the_wait() {
    let mut lock = Lock::new();
    let fence = lock.hold(1, write("a"));
    lock.wait(2, AcquireRequest { max_wait_ms: Some(500), ..write("b") });
    lock.release(1, "a", fence).unwrap();
    assert_eq!(lock.machine.advance_ms(10_000), 0);
    assert_eq!(lock.holders(), ["b"]);
}

#[test]
fn bug_lock_wait_keeps_its_original_deadline_over_a_restore() {
    let mut lock = Lock::new();
    lock.hold(1, write("a"));
    lock.wait(2, AcquireRequest { max_wait_ms: Some(500), ..write("b") });
    lock.machine.advance_ms(400);
    let mut restored = Lock { machine: lock.machine.restored(), id: lock.id };
    assert_eq!(restored.machine.advance_ms(99), 0);
    assert_eq!(restored.machine.advance_ms(1), 1);
    assert_eq!(restored.waiters().len(), 0);
}

#[test]
fn a_leader_change_gives_a_lease_its_full_length_again_but_no_wait_and_no_second_time() {
    let mut lock = Lock::new();
    let fence = lock.hold(0, AcquireRequest { lease_ms: Some(1_000), ..write("a") });
    lock.wait(2, AcquireRequest { max_wait_ms: Some(1_000), ..write("b") });
    lock.events();
    // The change comes after the deadline: without a leader nothing could expire, nor be renewed.
    lock.machine.change_leader_after_ms(1_500);
    assert_eq!(lock.events(), [("b".into(), gave_up(Reason::WaitExpired))]);
    assert_eq!(lock.get().holders[0].lease_left_ms, Some(1_000));
    lock.machine.advance_ms(999);
    assert!(lock.is_current(fence));
    lock.machine.advance_ms(1);
    assert_eq!(lock.events(), [("a".into(), lost(fence, Reason::LeaseExpired))]);
}

#[test]
fn a_lease_renewed_after_the_leader_change_needs_no_grace() {
    let mut lock = Lock::new();
    let fence = lock.hold(0, AcquireRequest { lease_ms: Some(1_000), ..write("a") });
    lock.machine.change_leader_after_ms(100);
    lock.machine.advance_ms(100);
    lock.renew("a", fence, Some(500)).unwrap();

    lock.machine.advance_ms(499);
    assert!(lock.is_current(fence));
    lock.machine.advance_ms(1);
    assert!(!lock.is_current(fence));
}

#[test]
fn after_a_loss_the_lock_stays_unavailable_for_the_delay() {
    let mut lock = Lock::new();
    lock.hold(1, AcquireRequest { lock_delay_ms: 300, ..write("a") });
    lock.wait(2, AcquireRequest { lock_delay_ms: 200, ..write("b") });
    lock.machine.end_session(SessionId(1));
    assert_eq!(lock.holders().len(), 0);
    assert_eq!(lock.get().unavailable_ms, 300);
    let impatient = AcquireRequest { max_wait_ms: Some(0), ..write("c") };
    assert_eq!(lock.acquire(3, impatient), Err(ErrorCode::Expired));
    lock.machine.advance_ms(299);
    assert_eq!(lock.holders().len(), 0);
    lock.machine.advance_ms(1);
    assert_eq!(lock.holders(), ["b"]);
    assert_eq!(lock.get().unavailable_ms, 0);
}

#[test]
fn the_longest_delay_counts_and_readers_wait_for_it_too() {
    for (first_ms, second_ms) in [(300, 100), (100, 300)] {
        let mut lock = Lock::new();
        for (session, request_id, lock_delay_ms) in [(1, "a", first_ms), (2, "b", second_ms), (3, "c", 0)] {
            lock.hold(session, AcquireRequest { lock_delay_ms, ..read(request_id) });
        }
        lock.machine.end_session(SessionId(1));
        lock.machine.end_session(SessionId(2));
        assert_eq!(lock.get().unavailable_ms, 300);
        lock.wait(4, read("d"));
        lock.machine.advance_ms(299);
        assert_eq!(lock.holders(), ["c"]);
        lock.machine.advance_ms(1);
        assert_eq!(lock.holders(), ["c", "d"]);
    }
}

#[test]
fn a_release_has_no_delay() {
    let mut lock = Lock::new();
    let fence = lock.hold(1, AcquireRequest { lock_delay_ms: 300, ..write("a") });
    lock.wait(2, write("b"));
    lock.release(1, "a", fence).unwrap();
    assert_eq!(lock.holders(), ["b"]);
}

#[test]
fn fences_grow_over_deletion_even_after_many_grants_in_one_step() {
    let mut lock = Lock::new();
    let mut last = 0;
    for round in 0..3 {
        let fence = lock.hold(1, write(&format!("w{round}")));
        assert!(fence > last, "round {round}");
        for reader in 0..50 {
            lock.wait(0, AcquireRequest { lease_ms: Some(100), ..read(&format!("r{round}-{reader}")) });
        }
        lock.release(1, &format!("w{round}"), fence).unwrap();
        let fences = lock.fences();
        assert_eq!(fences.len(), 50);
        assert!(fences[0] > fence && fences.is_sorted_by(|one, next| one < next));
        last = fences[49];
        lock.delete_and_create();
        assert_eq!(lock.get().last_fence, 0);
    }
}

#[test]
fn deleting_the_primitive_ends_everything_and_leaves_nothing() {
    let mut lock = Lock::new();
    lock.hold(9, AcquireRequest { lock_delay_ms: 1_000, ..read("gone") });
    let held = lock.hold(1, AcquireRequest { lease_ms: Some(100), ..read("a") });
    lock.machine.end_session(SessionId(9));
    lock.wait(2, AcquireRequest { max_wait_ms: Some(100), ..write("b") });
    lock.wait(2, read("c"));
    lock.release(3, "never", 0).unwrap();
    lock.events();
    let deleted = lock.machine.apply(lock.id, Operation::Delete(Delete {}));
    assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
    let forced = Reason::Forced;
    let expected = [("a", lost(held, forced)), ("b", gave_up(forced)), ("c", gave_up(forced))];
    assert_eq!(lock.events(), expected.map(|(request_id, what)| (request_id.to_owned(), what)));
    assert!(lock.machine.is_empty());
}
