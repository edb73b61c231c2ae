//! From a command to the kind that executes it; the same for timers and ended sessions.

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::command::Operation;
use synod_proto::primitive::v1::{Command, DeleteResponse};
use synod_storage::state::{Fault, StateStore};
use synod_types::{Error, ErrorCode, PrimitiveId, PrimitiveKind, SessionId};

use crate::context::{Context, Environment, Failure, Outcome};
use crate::timers::Due;
use crate::{Change, counter, election, lock, map, ownership, registry, set, timers, value};

/// A command of one kind of primitive: the request message, made executable.
pub(crate) trait Apply: Sized {
    /// The kind it is for.
    const KIND: PrimitiveKind;
    /// What it answers.
    type Response: Message;

    /// Checks, then writes. A rejection has changed nothing.
    fn apply(self, context: &mut Context<'_>) -> Outcome<Self::Response>;
}

/// Executes a command and returns its encoded response, or the error that is its result.
///
/// What watchers see is added to `changes`. A command that is refused has changed nothing and adds nothing.
///
/// # Errors
/// [`Fault`] when the store fails: the replica must stop.
pub fn apply(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    command: Command,
    changes: &mut Vec<Change>,
) -> Result<Result<Bytes, Error>, Fault> {
    let primitive = PrimitiveId(command.primitive);
    let before = changes.len();
    let Some(operation) = command.operation else {
        let message = "this version of Synod does not know the command";
        return Ok(Err(Error::new(ErrorCode::NotSupported, message)));
    };
    match dispatch(store, environment, primitive, operation, changes) {
        Ok(response) => Ok(Ok(response)),
        Err(Failure::Rejected(error)) => {
            debug_assert_eq!(changes.len(), before, "a rejected command emits nothing");
            Ok(Err(error))
        }
        Err(Failure::Fault(fault)) => Err(fault),
    }
}

fn dispatch(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    primitive: PrimitiveId,
    operation: Operation,
    changes: &mut Vec<Change>,
) -> Outcome<Bytes> {
    /// Runs a command of a kind.
    macro_rules! run {
        ($command:expr) => {
            run(store, environment, primitive, $command, changes)
        };
    }
    match operation {
        Operation::Create(command) => {
            registry::create(store, &environment, primitive, command).map(|response| encode(&response))
        }
        Operation::Delete(_) => {
            delete(store, environment, primitive, changes).map(|response| encode(&response))
        }
        Operation::CounterSet(command) => run!(command),
        Operation::CounterUpdate(command) => run!(command),
        Operation::CounterIncrement(command) => run!(command),
        Operation::CounterDecrement(command) => run!(command),
        Operation::ValueSet(command) => run!(command),
        Operation::ValueInsert(command) => run!(command),
        Operation::ValueUpdate(command) => run!(command),
        Operation::ValueDelete(command) => run!(command),
        Operation::MapPut(command) => run!(command),
        Operation::MapInsert(command) => run!(command),
        Operation::MapUpdate(command) => run!(command),
        Operation::MapRemove(command) => run!(command),
        Operation::MapClear(command) => run!(command),
        Operation::MapTransact(command) => run!(command),
        Operation::SetAdd(command) => run!(command),
        Operation::SetRemove(command) => run!(command),
        Operation::SetClear(command) => run!(command),
        Operation::LockAcquire(command) => run!(command),
        Operation::LockRenew(command) => run!(command),
        Operation::LockRelease(command) => run!(command),
        Operation::LockForceRelease(command) => run!(command),
        Operation::ElectionEnter(command) => run!(command),
        Operation::ElectionWithdraw(command) => run!(command),
        Operation::ElectionAnoint(command) => run!(command),
        Operation::ElectionPromote(command) => run!(command),
        Operation::ElectionDemote(command) => run!(command),
        Operation::ElectionEvict(command) => run!(command),
    }
}

fn run<A: Apply>(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    primitive: PrimitiveId,
    command: A,
    changes: &mut Vec<Change>,
) -> Outcome<Bytes> {
    registry::expect(&*store, primitive, A::KIND)?;
    let mut context = Context::new(store, environment, primitive, changes);
    command.apply(&mut context).map(|response| encode(&response))
}

/// Deletes a primitive: its kind removes what it holds, then the registry forgets it.
fn delete(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    primitive: PrimitiveId,
    changes: &mut Vec<Change>,
) -> Outcome<DeleteResponse> {
    let kind = registry::kind_of(store, primitive)?;
    let mut context = Context::new(store, environment, primitive, changes);
    match kind {
        Some(PrimitiveKind::Counter) => counter::delete_primitive(&mut context)?,
        Some(PrimitiveKind::Value) => value::delete_primitive(&mut context)?,
        Some(PrimitiveKind::Map) => map::delete_primitive(&mut context).map(|_| ())?,
        Some(PrimitiveKind::Set) => set::delete_primitive(&mut context).map(|_| ())?,
        Some(PrimitiveKind::Lock) => lock::delete_primitive(&mut context)?,
        Some(PrimitiveKind::Election) => election::delete_primitive(&mut context)?,
        None => {}
    }
    registry::delete(store, primitive)
}

fn encode(response: &impl Message) -> Bytes {
    response.encode_to_vec().into()
}

/// Fires every timer with a deadline of at most `environment.now`, in order (C6), each at the time of its own
/// deadline, and returns how many. To be called before the commands of every entry, with that entry's time; if the
/// entry is the first of a new leader, with that as `leader_since` already.
///
/// # Errors
/// [`Fault`] when the store fails: the replica must stop.
pub fn fire_timers(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    changes: &mut Vec<Change>,
) -> Result<u64, Fault> {
    let mut fired = 0;
    while let Some(due) = timers::take_due(store, environment.now)? {
        fired += 1;
        settle(fire(store, environment, due, changes))?;
    }
    Ok(fired)
}

/// Does what a timer is for.
fn fire(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    due: Due,
    changes: &mut Vec<Change>,
) -> Outcome<()> {
    let Some(kind) = registry::kind_of(store, due.primitive)? else {
        return Ok(());
    };
    let environment = Environment { now: due.timer.deadline, session: SessionId::default(), ..environment };
    let mut context = Context::new(store, environment, due.primitive, changes);
    match kind {
        PrimitiveKind::Counter | PrimitiveKind::Election => Ok(()),
        PrimitiveKind::Value => value::timer_fired(&mut context, due.timer),
        PrimitiveKind::Map => map::timer_fired(&mut context, due.timer, due.own),
        PrimitiveKind::Set => set::timer_fired(&mut context, due.timer, due.own),
        PrimitiveKind::Lock => lock::timer_fired(&mut context, due.timer, &due.own),
    }
}

/// Takes from a session that has ended all that was bound to it, primitive by primitive in the order of their ids.
///
/// # Errors
/// [`Fault`] when the store fails: the replica must stop.
pub fn session_ended(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    session: SessionId,
    changes: &mut Vec<Change>,
) -> Result<(), Fault> {
    for (primitive, owned) in ownership::take(store, session)? {
        settle(end_in(store, environment, primitive, owned, changes))?;
    }
    Ok(())
}

/// Ends what a session that has ended owned of one primitive.
fn end_in(
    store: &mut dyn StateStore,
    environment: Environment<'_>,
    primitive: PrimitiveId,
    owned: Vec<Vec<u8>>,
    changes: &mut Vec<Change>,
) -> Outcome<()> {
    let Some(kind) = registry::kind_of(store, primitive)? else {
        return Ok(());
    };
    let mut context = Context::new(store, environment, primitive, changes);
    match kind {
        PrimitiveKind::Counter | PrimitiveKind::Value | PrimitiveKind::Map | PrimitiveKind::Set => Ok(()),
        PrimitiveKind::Lock => lock::session_ended(&mut context, owned),
        PrimitiveKind::Election => election::session_ended(&mut context, owned),
    }
}

/// Timers and ended sessions are not requests that could be refused: a rejection there is a fault.
fn settle(outcome: Outcome<()>) -> Result<(), Fault> {
    outcome.map_err(|failure| match failure {
        Failure::Fault(fault) => fault,
        Failure::Rejected(error) => Fault(format!("a timer or an ended session was refused: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use synod_proto::counter::v1::SetRequest;
    use synod_proto::map::v1::{ClearResponse, PutRequest, PutResponse};

    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_command_is_for_a_primitive_that_exists_and_of_its_kind() {
        let mut machine = Machine::new();
        let set = || Operation::CounterSet(SetRequest::default());
        let nothing: Result<ClearResponse, _> = machine.apply(PrimitiveId(7), set());
        assert_eq!(nothing, Err(ErrorCode::UnknownPrimitive));
        assert_eq!(machine.last_error(), "no such counter on this partition");
        let map = machine.create(PrimitiveKind::Map, "m");
        let other: Result<ClearResponse, _> = machine.apply(map, set());
        assert_eq!(other, Err(ErrorCode::Invalid));
        assert_eq!(machine.last_error(), "this is a map, the operation is for a counter");
    }

    #[test]
    fn a_command_of_a_later_version_is_refused() {
        let refused = Machine::new().apply_encoded(Command::default());
        assert_eq!(refused.map_err(|error| error.code()), Err(ErrorCode::NotSupported));
    }

    #[test]
    fn bug_equal_deadlines_fire_in_the_order_of_creation() {
        let mut machine = Machine::new();
        let map = machine.create(PrimitiveKind::Map, "m");
        for (key, ttl_ms) in [("c", 100), ("a", 100), ("b", 100), ("first", 50)] {
            let request = PutRequest { key: key.into(), ttl_ms: Some(ttl_ms), ..Default::default() };
            let _: PutResponse = machine.apply(map, Operation::MapPut(request)).unwrap();
        }
        machine.take_changes();
        assert_eq!(machine.advance_ms(100), 4);
        let keys: Vec<_> = machine.take_changes().into_iter().map(|change| change.key).collect();
        assert_eq!(keys, ["first", "c", "a", "b"]);
    }

    #[test]
    fn the_next_deadline_is_the_first() {
        let mut machine = Machine::new();
        let map = machine.create(PrimitiveKind::Map, "m");
        assert_eq!(timers::next_deadline(&machine.store), Ok(None));
        let start = machine.now;
        for (key, ttl_ms) in [("a", 100), ("b", 50)] {
            let request = PutRequest { key: key.into(), ttl_ms: Some(ttl_ms), ..Default::default() };
            let _: PutResponse = machine.apply(map, Operation::MapPut(request)).unwrap();
        }
        assert_eq!(timers::next_deadline(&machine.store), Ok(Some(start.plus_ms(50))));
        machine.advance_ms(60);
        assert_eq!(timers::next_deadline(&machine.store), Ok(Some(start.plus_ms(100))));
    }
}
