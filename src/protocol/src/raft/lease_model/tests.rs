//! What the model says of the design, and of designs that differ from it in one point.

use stateright::{Checker, HasDiscoveries, Model as _};

use super::*;

#[test]
fn a_lease_excludes_a_later_leader() {
    let checker = Group::new(Design::Ours).checker().spawn_bfs().join();
    eprintln!("{} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
    let first = GENESIS + 1;
    let second = first + 1;
    let elected = [
        Event::Campaign(0),
        Event::HearRequest { term: first, from: 0, to: 1 },
        Event::HearVote { term: first, from: 1 },
    ];
    let led =
        [Event::Round(0), Event::HearRound { term: first, to: 1 }, Event::HearAck { term: first, from: 1 }];
    let after_the_promise = [
        Event::Suspect(1),
        Event::Pass,
        Event::Pass,
        Event::Campaign(1),
        Event::HearRequest { term: second, from: 1, to: 2 },
        Event::HearVote { term: second, from: 2 },
    ];
    checker.assert_discovery(FAILS_OVER, [&elected[..], &led, &after_the_promise].concat());
    let at_once = [
        Event::Transfer { from: 0, to: 1 },
        Event::HearTimeoutNow { term: first, to: 1 },
        Event::HearRequest { term: second, from: 1, to: 0 },
        Event::HearVote { term: second, from: 0 },
    ];
    checker.assert_discovery(HANDS_OVER, [&elected[..], &led, &at_once].concat());
}

#[test]
fn every_other_design_reads_what_is_stale() {
    let designs = [
        Design::RestartForgets,
        Design::ClocksDriftTooFar,
        Design::LeaseFromAck,
        Design::LeaseSurvivesTransfer,
        Design::LeaseInTicks,
        Design::SuspicionEndsPromise,
    ];
    for design in designs {
        let found = HasDiscoveries::AllOf([NO_STALE_READ].into());
        let checker = Group::new(design).checker().finish_when(found).spawn_bfs().join();
        let path =
            checker.discovery(NO_STALE_READ).unwrap_or_else(|| panic!("{design:?} is not seen to be wrong"));
        eprintln!("{design:?}, {} states: {:?}", checker.unique_state_count(), path.into_actions());
        assert!(
            checker.discovery(ELECTION_SAFETY).is_none(),
            "{design:?} breaks elections, which was not meant"
        );
    }
}
