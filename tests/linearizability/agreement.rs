//! The search against two references, on thousands of tiny histories, of which about half are bad: every order of the
//! operations by the model, and every order of the operations by the product's own state machines.

use synod_testkit::linearizability::models::primitives::{Input, Output, PrimitivesModel};
use synod_testkit::linearizability::models::register::{self, RegisterModel};
use synod_testkit::linearizability::models::{ClockBound, EntryAnswer, map};
use synod_testkit::linearizability::{Budget, Operation, check};
use synod_types::{Index, PrimitiveKind};

use crate::brute_force::{exists_order, is_linearizable};
use crate::judge::at;
use crate::machine::{Machine, Request};
use crate::random::Seeded;
use crate::recorder::{Fault, Op, Plan, record, record_with_requests};
use crate::requests::Mix;

/// How many histories were good and bad.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    good: u64,
    bad: u64,
}

impl Tally {
    fn count(&mut self, is_good: bool) {
        *(if is_good { &mut self.good } else { &mut self.bad }) += 1;
    }

    /// A comparison in which one verdict hardly ever occurs proves little.
    fn assert_both_occur(self, least: u64) {
        assert!(self.good >= least && self.bad >= least, "{self:?}");
    }
}

fn tiny(kind: PrimitiveKind, mix: Mix, fault: Option<Fault>) -> Plan {
    Plan { kind, clients: 3, operations: 6, mix, unanswered_one_in: 8, fault }
}

fn faults() -> impl Iterator<Item = Option<Fault>> {
    Fault::ALL.into_iter().map(Some).chain([None])
}

/// Has the search and the model's reference judge many tiny histories of a kind.
fn compare(kind: PrimitiveKind, mix: Mix, seeds: u64) -> Tally {
    let model = PrimitivesModel::new(ClockBound::default());
    let mut tally = Tally::default();
    for fault in faults() {
        for seed in 0..seeds {
            let history = record(tiny(kind, mix, fault), seed);
            let report = check(&model, &history, Budget::default()).unwrap();
            // The reference does not split by key.
            let expected = is_linearizable(&model, &history);
            assert_eq!(report.is_linearizable(), expected, "{kind} {fault:?} seed {seed}: {report}");
            assert!(fault.is_some() || expected, "{kind} seed {seed}: {report}");
            tally.count(expected);
        }
    }
    tally
}

#[test]
fn the_search_agrees_with_every_order_by_the_model() {
    for kind in PrimitiveKind::ALL {
        let tally = compare(kind, Mix { ends: false, joins: false, keys: 2 }, 250);
        println!("{kind}: {tally:?}");
        tally.assert_both_occur(90);
    }
}

#[test]
fn the_search_agrees_when_things_end_by_themselves() {
    for kind in [PrimitiveKind::Value, PrimitiveKind::Map, PrimitiveKind::Set, PrimitiveKind::Lock] {
        let tally = compare(kind, Mix { ends: true, joins: false, keys: 2 }, 150);
        println!("{kind}: {tally:?}");
        tally.assert_both_occur(40);
    }
}

#[test]
fn the_search_agrees_when_keys_are_joined() {
    for kind in [PrimitiveKind::Map, PrimitiveKind::Set] {
        let tally = compare(kind, Mix { ends: false, joins: true, keys: 2 }, 250);
        println!("{kind}: {tally:?}");
        tally.assert_both_occur(90);
    }
}

/// Registers with answers at random, which the generator of plausible histories would never give.
#[test]
fn the_search_agrees_on_registers_with_any_answers() {
    let mut tally = Tally::default();
    for seed in 0..6_000 {
        let mut random = Seeded::new(seed);
        let history: Vec<_> =
            (0..3 + random.below(4)).map(|client| any_register_operation(client, &mut random)).collect();
        let report = check(&RegisterModel, &history, Budget::default()).unwrap();
        let expected = is_linearizable(&RegisterModel, &history);
        assert_eq!(report.is_linearizable(), expected, "seed {seed}: {report}");
        tally.count(expected);
    }
    println!("{tally:?}");
    tally.assert_both_occur(1_500);
}

fn any_register_operation(client: u64, random: &mut Seeded) -> Operation<register::Input, register::Output> {
    let value = |random: &mut Seeded| random.below(3);
    let (action, output) = match random.below(4) {
        0 | 1 => (register::Action::Read, register::Output::Read(value(random))),
        2 => (register::Action::Write(value(random)), register::Output::Written),
        _ => {
            let action = register::Action::CompareAndSet(value(random), value(random));
            (action, register::Output::Compared(random.one_in(2)))
        }
    };
    let input = register::Input { register: 0, action };
    let from = random.below(20);
    if random.one_in(5) {
        return Operation::open(client, input, at(from));
    }
    Operation::answered(client, input, at(from), at(from + random.below(12)), output)
}

/// Whether some order of the operations, executed by the state machines, gives just these answers.
fn by_machine(history: &[Op], requests: &[Request]) -> bool {
    let of = |operation: &Op| {
        let place = history.iter().position(|other| std::ptr::eq(other, operation)).unwrap();
        &requests[place]
    };
    let mut step = |machine: &Machine, operation: &Op, _| {
        let mut after = machine.clone();
        match operation.output().map(|output| version_made(&operation.input, output)) {
            // The version says at which index the command was executed.
            Some(Some(version)) if version <= after.index.get() => return Vec::new(),
            Some(Some(version)) => after.index = Index(version - 1),
            Some(None) | None => {}
        }
        let output = after.execute(of(operation));
        // What makes no version leaves the index as it was, so that it fits in front of every version.
        if operation.output().is_none_or(|known| version_made(&operation.input, known).is_none()) {
            after.index = machine.index;
        }
        if operation.output().is_none_or(|known| *known == output) { vec![after] } else { Vec::new() }
    };
    exists_order(&Machine::new(), history, &mut vec![false; history.len()], &mut step)
}

/// The version that an operation has made, as its answer tells.
fn version_made(input: &Input, output: &Output) -> Option<u64> {
    let answer = match (input, output) {
        (_, Output::Value(Ok(answer)) | Output::Map(Ok(map::Output::One(answer)))) => answer,
        _ => return None,
    };
    match answer {
        EntryAnswer::Written { version, previous } => {
            let kept = previous.as_ref().is_some_and(|previous| previous.version == *version);
            (!kept).then_some(*version)
        }
        _ => None,
    }
}

#[test]
fn the_search_agrees_with_every_order_by_the_machines() {
    let mut compared = 0;
    for kind in [
        PrimitiveKind::Counter,
        PrimitiveKind::Value,
        PrimitiveKind::Map,
        PrimitiveKind::Set,
        PrimitiveKind::Election,
    ] {
        let model = PrimitivesModel::new(ClockBound::default());
        let mut tally = Tally::default();
        for fault in faults() {
            for seed in 0..120 {
                // One key: the machines have one order of versions for all keys, the models one for each.
                let mix = Mix { ends: false, joins: false, keys: 1 };
                let plan = Plan { unanswered_one_in: 0, ..tiny(kind, mix, fault) };
                let (history, requests) = record_with_requests(plan, seed);
                let report = check(&model, &history, Budget::default()).unwrap();
                let expected = by_machine(&history, &requests);
                assert_eq!(report.is_linearizable(), expected, "{kind} {fault:?} seed {seed}: {report}");
                tally.count(expected);
                compared += 1;
            }
        }
        println!("{kind}: {tally:?}");
        tally.assert_both_occur(40);
    }
    assert_eq!(compared, 5 * 5 * 120);
}
