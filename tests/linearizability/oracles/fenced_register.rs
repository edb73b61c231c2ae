//! The resource that refuses lower fences.

use synod_testkit::oracle::fenced_register::{Access, FencedRegister, Refused, Violation, violations};

fn access(holder: u64, fence: u64, accepted: bool) -> Access {
    Access { holder, fence, accepted }
}

#[test]
fn it_refuses_whoever_comes_after_a_greater_fence() {
    let mut register = FencedRegister::default();
    assert_eq!(register.write(3, 30), Ok(()));
    assert_eq!(register.write(2, 20), Err(Refused { fence: 2, greatest: 3 }));
    assert_eq!(register.read(3), Ok(30));
    assert_eq!(register.read(4), Ok(30));
    assert_eq!(register.read(3), Err(Refused { fence: 3, greatest: 4 }));
}

#[test]
fn every_wrong_answer_is_found() {
    assert_eq!(violations(&[access(1, 3, true), access(1, 3, true), access(2, 2, false)]), []);
    assert_eq!(
        violations(&[access(1, 3, true), access(2, 2, true)]),
        [Violation::StaleAccepted { access: 1, fence: 2, greatest: 3 }]
    );
    assert_eq!(
        violations(&[access(1, 3, true), access(2, 4, false)]),
        [Violation::CurrentRefused { access: 1, fence: 4, greatest: 3 }]
    );
    assert_eq!(
        violations(&[access(1, 3, true), access(2, 3, true)]),
        [Violation::SharedFence { access: 1, fence: 3, first: 1, second: 2 }]
    );
}
