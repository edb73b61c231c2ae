//! What the model says of the design, and of designs that differ from it in one point.

use stateright::{Checker, HasDiscoveries, Model as _};

use super::*;

#[test]
fn no_session_ends_while_its_client_believes_in_it() {
    let checker = Group::new(Design::Ours).checker().spawn_bfs().join();
    eprintln!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn every_other_design_ends_a_session_early() {
    let designs = [
        Design::NoConfirmation,
        Design::NoGrace,
        Design::AnswersBeforeApplied,
        Design::RevivesTheClosing,
        Design::BeliefFromAnswer,
        Design::BeliefWithoutMargin,
        Design::ClocksDriftTooFar,
    ];
    for design in designs {
        let found = HasDiscoveries::AllOf([NOT_CLOSED_EARLY, ONE_HOLDER].into());
        let checker = Group::new(design).checker().finish_when(found).spawn_bfs().join();
        eprintln!("{design:?}: {} states", checker.unique_state_count());
        for property in [NOT_CLOSED_EARLY, ONE_HOLDER] {
            let path =
                checker.discovery(property).unwrap_or_else(|| panic!("{design:?} is not seen to be wrong"));
            eprintln!(
                "{design:?}, {} states, {property}: {:?}",
                checker.unique_state_count(),
                path.into_actions()
            );
        }
    }
}
