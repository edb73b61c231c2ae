//! How much the search costs on long histories, in steps of the model, which are the same on every machine. The time
//! is printed.

use std::time::Instant;

use synod_testkit::linearizability::models::register::{Action, Input, Output, RegisterModel};
use synod_testkit::linearizability::{Budget, Operation, Report, check};

use crate::judge::{answered, at};
use crate::random::Seeded;

type Op = Operation<Input, Output>;

/// A load of clients that each send their next operation as soon as the last one is answered.
#[derive(Clone, Copy)]
struct Load {
    clients: u64,
    operations_each: u64,
    registers: u64,
    /// How many different values are written; the fewer, the harder.
    values: u64,
    /// One in so many operations is a read.
    read_one_in: u64,
    /// One in so many operations is a compare-and-set; 0 for none.
    compare_one_in: u64,
    /// One in so many answers is lost; 0 for none.
    unanswered_one_in: u64,
}

const LOAD: Load = Load {
    clients: 16,
    operations_each: 1_000,
    registers: 1,
    values: 1_000_000,
    read_one_in: 2,
    compare_one_in: 0,
    unanswered_one_in: 0,
};

/// What a client has on its way: what it asked for, since when, and the answer if it took effect.
type Pending = Option<(Input, u64, Option<Output>)>;

fn history(load: Load, seed: u64) -> Vec<Op> {
    let mut random = Seeded::new(seed);
    let mut registers = vec![0; usize::try_from(load.registers).unwrap()];
    let mut clients: Vec<(u64, Pending)> =
        vec![(load.operations_each, None); usize::try_from(load.clients).unwrap()];
    let mut history = Vec::new();
    let mut now = 0;
    while clients.iter().any(|(left, pending)| *left > 0 || pending.is_some()) {
        now += 1;
        let client = random.below(load.clients);
        let (left, pending) = &mut clients[usize::try_from(client).unwrap()];
        *pending = match pending.take() {
            None if *left == 0 => None,
            None => {
                *left -= 1;
                Some((any_input(load, &mut random), now, None))
            }
            Some((input, since, None)) => {
                let output = execute(&mut registers, input);
                if load.unanswered_one_in != 0 && random.one_in(load.unanswered_one_in) {
                    history.push(Operation::open(client, input, at(since)));
                    None
                } else {
                    Some((input, since, Some(output)))
                }
            }
            Some((input, since, Some(output))) => {
                history.push(answered(client, since, now, input, output));
                None
            }
        };
    }
    history
}

fn any_input(load: Load, random: &mut Seeded) -> Input {
    let value = 1 + random.below(load.values);
    let action = if random.one_in(load.read_one_in) {
        Action::Read
    } else if load.compare_one_in != 0 && random.one_in(load.compare_one_in) {
        Action::CompareAndSet(random.below(load.values), value)
    } else {
        Action::Write(value)
    };
    Input { register: random.below(load.registers), action }
}

fn execute(registers: &mut [u64], input: Input) -> Output {
    let register = &mut registers[usize::try_from(input.register).unwrap()];
    match input.action {
        Action::Read => Output::Read(*register),
        Action::Write(value) => {
            *register = value;
            Output::Written
        }
        Action::CompareAndSet(expected, value) => {
            let done = *register == expected;
            if done {
                *register = value;
            }
            Output::Compared(done)
        }
    }
}

/// Checks a history, prints what it cost, and holds it to a number of steps for each operation.
fn measure(name: &str, history: &[Op], steps_each_max: u64) -> Report {
    let start = Instant::now();
    let report = check(&RegisterModel, history, Budget::default()).unwrap();
    println!(
        "{name}: {} operations, {} partitions, {} steps, {} configurations, {:?}",
        report.operations,
        report.partitions,
        report.steps,
        report.configurations,
        start.elapsed()
    );
    assert_eq!(report.unknown, [], "{report}");
    assert!(report.steps <= steps_each_max * report.operations as u64, "{name}: {} steps", report.steps);
    report
}

#[test]
fn long_histories_of_many_clients_cost_a_few_steps_for_each_operation() {
    for (name, load, steps_each_max) in [
        ("16 x 1000, one register", LOAD, 40),
        ("16 x 1000, one register, 5 values", Load { values: 5, ..LOAD }, 40),
        ("16 x 1000, one register, compare-and-set", Load { values: 5, compare_one_in: 2, ..LOAD }, 40),
        ("16 x 1000, one register, mostly reads", Load { read_one_in: 1, ..LOAD }, 40),
        ("16 x 1000, 16 registers", Load { registers: 16, ..LOAD }, 40),
        ("16 x 1000, one register, 1 in 1000 unanswered", Load { unanswered_one_in: 1_000, ..LOAD }, 80),
        ("16 x 20000, 2000 registers", Load { operations_each: 20_000, registers: 2_000, ..LOAD }, 40),
    ] {
        let report = measure(name, &history(load, 1), steps_each_max);
        assert!(report.is_linearizable(), "{name}: {report}");
    }
}

/// One wrong read in the middle of a long history.
#[test]
fn what_is_wrong_is_found_in_a_long_history() {
    for values in [5, 1_000_000] {
        let mut history = history(Load { values, ..LOAD }, 2);
        let middle = history.len() / 2;
        let wrong =
            (middle..).find(|place| matches!(history[*place].returned, Some((_, Output::Read(_))))).unwrap();
        history[wrong].returned.as_mut().unwrap().1 = Output::Read(0);
        let report = measure("16 x 1000, one register, one wrong read", &history, 400);
        let [violation] = report.violations.as_slice() else { panic!("{report}") };
        assert_eq!(violation.culprit, wrong, "{report}");
    }
}
