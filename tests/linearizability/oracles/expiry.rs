//! The ends of leases and TTLs.

use synod_testkit::oracle::ClockBound;
use synod_testkit::oracle::expiry::{Life, Refresh, Settled, Violation, violations};

use crate::judge::{at, millis, ms};

fn life(gone: Option<u64>) -> Life {
    let refresh = |from: u64| Refresh {
        duration: millis(100),
        invoked_at: at(ms(from)),
        answered_at: Some(at(ms(from + 5))),
    };
    let refreshes = vec![refresh(0), refresh(50)];
    Life { refreshes, gone_at: gone.map(|gone| at(ms(gone))), watched_until: at(ms(1_000)) }
}

fn judge(gone: Option<u64>, settled: Option<Settled>) -> Vec<Violation> {
    violations(&[life(gone)], ClockBound::EXACT, settled)
}

#[test]
fn nothing_ends_before_the_last_refresh_is_over() {
    assert_eq!(judge(Some(150), None), []);
    assert!(matches!(judge(Some(149), None)[..], [Violation::Early { life: 0, .. }]));
    assert!(matches!(judge(Some(20), None)[..], [Violation::Revived { life: 0, .. }]));
}

#[test]
fn everything_ends_once_it_is_calm() {
    let settled = Settled { since: at(0), within: millis(10) };
    assert_eq!(judge(Some(160), Some(settled)), []);
    assert!(matches!(judge(None, Some(settled))[..], [Violation::Late { life: 0, .. }]));
    assert_eq!(judge(None, None), [], "an end may come at any time while things go wrong");
}
