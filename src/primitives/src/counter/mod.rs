//! The counter: a 64-bit signed number that lives whole on the partition of its name.
//!
//! A counter that was never set is 0. Arithmetic wraps around as two's complement, which is what the Atomix clients
//! expect; it is the same in debug and release builds. Record `Item`: format(1) value(8, little-endian).

mod decrement;
mod get;
mod increment;
mod set;
mod update;

use synod_proto::counter::v1::Event;
use synod_proto::primitive::v1::event;

use crate::context::{Context, Failure, Outcome, View};
use crate::keys::Record;

const FORMAT: u8 = 1;

fn decode(record: Option<&[u8]>) -> Outcome<i64> {
    match record.map(<[u8]>::split_first) {
        None => Ok(0),
        Some(Some((&FORMAT, value))) => {
            value.try_into().map(i64::from_le_bytes).map_err(|_| Failure::unreadable("counter"))
        }
        Some(_) => Err(Failure::unreadable("counter")),
    }
}

fn read(view: &View<'_>) -> Outcome<i64> {
    decode(view.get(Record::Item, b"")?.as_deref())
}

/// Sets the counter and tells watchers if that changed it.
fn write(context: &mut Context<'_>, previous: i64, value: i64) -> Outcome<()> {
    if value == previous {
        return Ok(());
    }
    let mut record = [FORMAT; 9];
    let (_, rest) = record.split_at_mut(1);
    rest.copy_from_slice(&value.to_le_bytes());
    context.put(Record::Item, b"", &record)?;
    context.emit("", event::Event::Counter(Event { value, previous }));
    Ok(())
}

/// Removes all that the primitive holds. To watchers that is a change to 0.
pub(crate) fn delete_primitive(context: &mut Context<'_>) -> Outcome<()> {
    let previous = read(&context.view())?;
    write(context, previous, 0)?;
    Ok(context.delete(Record::Item, b"")?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use synod_proto::counter::v1 as wire;
    use synod_proto::primitive::v1::command::Operation;
    use synod_proto::primitive::v1::{Delete, DeleteResponse, event};
    use synod_types::PrimitiveKind;

    use crate::testing::Machine;

    #[test]
    fn deleting_the_primitive_is_a_change_to_0_and_leaves_nothing() {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Counter, "c");
        let request = wire::IncrementRequest { delta: 5, ..Default::default() };
        let _: wire::IncrementResponse = machine.apply(id, Operation::CounterIncrement(request)).unwrap();
        machine.take_events();
        let deleted = machine.apply(id, Operation::Delete(Delete {}));
        assert_eq!(deleted, Ok(DeleteResponse { deleted: true }));
        assert_eq!(machine.take_events(), [event::Event::Counter(wire::Event { value: 0, previous: 5 })]);
        assert!(machine.is_empty());
    }

    proptest! {
        /// Increments and decrements add up modulo 2^64, and watchers can follow every step.
        #[test]
        fn arithmetic_wraps(deltas: Vec<(bool, i64)>) {
            let mut machine = Machine::new();
            let id = machine.create(PrimitiveKind::Counter, "c");
            let mut expected = 0i64;
            let mut seen = 0i64;
            for (up, delta) in deltas {
                let value = if up {
                    expected = expected.wrapping_add(delta);
                    let request = wire::IncrementRequest { delta, ..Default::default() };
                    machine.apply::<wire::IncrementResponse>(id, Operation::CounterIncrement(request)).unwrap().value
                } else {
                    expected = expected.wrapping_sub(delta);
                    let request = wire::DecrementRequest { delta, ..Default::default() };
                    machine.apply::<wire::DecrementResponse>(id, Operation::CounterDecrement(request)).unwrap().value
                };
                prop_assert_eq!(value, expected);
                for event in machine.take_events() {
                    let event::Event::Counter(event) = event else {
                        panic!("a counter emits counter events");
                    };
                    prop_assert_eq!(event.previous, seen);
                    seen = event.value;
                }
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
