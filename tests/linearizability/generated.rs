//! Histories that the product's state machines have made: all of them are linearizable, and the models must say so.
//! So this holds the models against the machines as well.

use synod_testkit::linearizability::models::ClockBound;
use synod_testkit::linearizability::models::primitives::PrimitivesModel;
use synod_testkit::linearizability::{Budget, check};
use synod_types::PrimitiveKind;

use crate::recorder::{Plan, record};
use crate::requests::Mix;

const SEEDS: u64 = 150;

fn accept_all(plan: Plan) {
    // The machine counts whole milliseconds: the default slack is for that.
    let model = PrimitivesModel::new(ClockBound::default());
    for seed in 0..SEEDS {
        let history = record(plan, seed);
        let report = check(&model, &history, Budget::default()).unwrap();
        assert!(report.is_linearizable(), "seed {seed} of {plan:?}: {report}");
    }
}

fn plan(kind: PrimitiveKind) -> Plan {
    let mix = Mix { ends: false, joins: false, keys: 2 };
    Plan { kind, clients: 5, operations: 60, mix, unanswered_one_in: 0, fault: None }
}

#[test]
fn what_the_machines_answer_is_linearizable() {
    for kind in PrimitiveKind::ALL {
        accept_all(plan(kind));
    }
}

#[test]
fn also_when_answers_get_lost() {
    for kind in PrimitiveKind::ALL {
        accept_all(Plan { unanswered_one_in: 12, ..plan(kind) });
    }
}

#[test]
fn also_when_things_end_by_themselves() {
    for kind in [PrimitiveKind::Value, PrimitiveKind::Map, PrimitiveKind::Set, PrimitiveKind::Lock] {
        let plan = Plan { mix: Mix { ends: true, joins: false, keys: 2 }, ..plan(kind) };
        accept_all(plan);
        // Whether somebody unheard waits, holds, or has lost a lock leaves more open with every further operation.
        let operations = if kind == PrimitiveKind::Lock { 35 } else { plan.operations };
        accept_all(Plan { unanswered_one_in: 15, operations, ..plan });
    }
}

#[test]
fn also_with_transactions_clears_and_listings() {
    for kind in [PrimitiveKind::Map, PrimitiveKind::Set] {
        accept_all(Plan { mix: Mix { ends: false, joins: true, keys: 2 }, ..plan(kind) });
        accept_all(Plan {
            mix: Mix { ends: true, joins: true, keys: 2 },
            unanswered_one_in: 15,
            ..plan(kind)
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_history_and_the_same_report() {
    let plan = Plan { unanswered_one_in: 10, ..plan(PrimitiveKind::Map) };
    let model = PrimitivesModel::new(ClockBound::default());
    for seed in 0..5 {
        let histories = [record(plan, seed), record(plan, seed)];
        assert_eq!(histories[0], histories[1]);
        let reports = histories.map(|history| check(&model, &history, Budget::default()).unwrap());
        assert_eq!(reports[0], reports[1]);
    }
}
