//! Faults that are seeded into the product's state machines, and whether the checker sees them.

use synod_testkit::linearizability::models::ClockBound;
use synod_testkit::linearizability::models::primitives::PrimitivesModel;
use synod_testkit::linearizability::{Budget, check};
use synod_types::PrimitiveKind;

use crate::recorder::{Fault, Plan, record};
use crate::requests::Mix;

const SEEDS: u64 = 60;

/// How many of the runs with a fault are refused. In some runs nobody looks at what is wrong.
fn refused(kind: PrimitiveKind, fault: Fault) -> u64 {
    let model = PrimitivesModel::new(ClockBound::default());
    let mix = Mix { ends: false, joins: false, keys: 2 };
    let plan = Plan { kind, clients: 4, operations: 60, mix, unanswered_one_in: 0, fault: Some(fault) };
    let runs = (0..SEEDS).map(|seed| check(&model, &record(plan, seed), Budget::default()).unwrap());
    runs.inspect(|report| assert_eq!(report.unknown, [])).filter(|report| !report.is_linearizable()).count()
        as u64
}

#[test]
fn every_seeded_fault_is_seen_in_every_kind() {
    for fault in Fault::ALL {
        let mut line = format!("{fault:?}:");
        for kind in PrimitiveKind::ALL {
            let refused = refused(kind, fault);
            line += &format!(" {kind} {refused}");
            // Locks remember request ids, so that hardly any repetition does harm.
            let is_harmless = (fault, kind) == (Fault::DoubleEffect, PrimitiveKind::Lock);
            let least = SEEDS / if is_harmless { 30 } else { 10 };
            assert!(refused >= least, "{fault:?} in {kind}: {refused} of {SEEDS} runs refused");
        }
        println!("{line} (of {SEEDS})");
    }
}
