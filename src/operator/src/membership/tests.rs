//! Each rule of the plan, as a table of [scenes](super::scene).

use super::plan::{may_leave, plan};
use super::scene::{genesis, observation, told};

/// (what it shows, nodes, members, first members, the step or how its text begins)
type Scene = (&'static str, &'static str, &'static str, &'static str, &'static str);

fn check(scenes: &[Scene]) {
    for (what, nodes, members, founders, expected) in scenes {
        let step = told(plan(&observation(nodes, members), genesis(founders).as_ref()));
        assert!(step.starts_with(expected), "{what}:\n     got {step}\nexpected {expected}");
    }
}

#[test]
fn birth() {
    check(&[
        ("ids first", "a=blank b=waits:2 c=blank", "", "", "prepare a c"),
        ("all must answer", "a=waits:1 b=waits:2 c=down", "", "", "wait: c must answer before"),
        ("also one that is not desired", "a=waits:1 x-=down", "", "", "wait: x must answer before"),
        ("all answer, none has data", "a=waits:1 b=waits:2 c=waits:3", "", "", "begin a1 b2 c3"),
        ("no member where none is desired", "a=waits:1 x-=waits:9 y-=blank", "", "", "begin a1"),
        ("never over data that cannot be used", "a=blank b=failed:2 c=blank", "", "", "stuck: b holds data"),
        (
            "decided is remembered, and told to all",
            "a=waits:1 b=waits:2 c=waits:3",
            "",
            "a1 b2 c3",
            "bootstrap a b c",
        ),
    ]);
}

#[test]
fn a_birth_that_was_interrupted_goes_on_with_the_same_members() {
    check(&[
        ("one was told", "a=newborn:1 b=waits:2 c=waits:3", "a1 b2 c3", "a1 b2 c3", "bootstrap b c"),
        (
            "two were told",
            "a=newborn:1 b=candidate:2 c=waits:3",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: the members elect",
        ),
        (
            "two newborn",
            "a=newborn:1 b=newborn:2 c=waits:3",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: the members elect",
        ),
        ("one was told and is down", "a=down b=waits:2 c=waits:3", "", "a1 b2 c3", "bootstrap b c"),
        ("one was wiped before it was told", "a=blank b=waits:2 c=waits:3", "", "a1 b2 c3", "bootstrap b c"),
        (
            "it goes on although b is to go",
            "a=newborn:1 b-=waits:2 c-=waits:3",
            "a1 b2 c3",
            "a1 b2 c3",
            "bootstrap b c",
        ),
    ]);
}

#[test]
fn a_partition_begins_once() {
    check(&[
        (
            "it began, and all data is gone",
            "a=waits:7 b=waits:8 c=blank",
            "",
            "a1 b2 c3",
            "stuck: every node answers",
        ),
        (
            "too few of the first are left",
            "a=waits:7 b=waits:8 c=waits:3",
            "",
            "a1 b2 c3",
            "stuck: every node answers",
        ),
        (
            "the rest may come back",
            "a=down b=waits:8 c=down",
            "",
            "a1 b2 c3",
            "wait: no member answers: waiting for a, c",
        ),
        (
            "one was never told, and can still vote",
            "a=candidate:1 b=down c=waits:3",
            "a1 b2 c3",
            "a1 b2 c3",
            "bootstrap c",
        ),
        (
            "one was never told, and was taken out",
            "a=candidate:1 b=down c=waits:3",
            "a1 b2",
            "a1 b2 c3",
            "wait: no majority",
        ),
        (
            "one waits since then, nobody tells",
            "a=down b=down c=waits:3",
            "",
            "a1 b2 c3",
            "wait: no member answers",
        ),
        (
            "what was remembered is lost, but data answers",
            "a=follower:1 b=blank c=blank",
            "a1 b2 c3",
            "",
            "stuck: the majority is lost",
        ),
        (
            "the same, and one is down",
            "a=follower:1 b=down c=blank",
            "a1 b2 c3",
            "",
            "wait: no majority: 1 of 3 voters are there",
        ),
    ]);
}

#[test]
fn without_a_leader() {
    check(&[
        (
            "enough to elect one",
            "a=candidate:1 b=follower:2 c=down",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: the members elect",
        ),
        (
            "too few, but they may come back",
            "a=follower:1 b=down c=down",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: no majority: 1 of 3 voters are there, and 2 are needed; waiting for b, c",
        ),
        (
            "a failed one does not come back",
            "a=follower:1 b=failed:2 c=down",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: no majority",
        ),
        (
            "one that wants room comes back",
            "a=follower:1 b=stalled:2 c=blank",
            "a1 b2 c3",
            "a1 b2 c3",
            "wait: no majority: 1 of 3 voters are there, and 2 are needed; waiting for b; b has stopped: full: it goes on by \
             itself once there is room",
        ),
        (
            "all want room",
            "a=stalled:1 b=stalled:2 c=stalled:3",
            "",
            "a1 b2 c3",
            "wait: no member answers: waiting for a, b, c; a has stopped: full; also b, c: it goes on",
        ),
        (
            "the majority lost its data",
            "a=follower:1 b=waits:8 c=blank",
            "a1 b2 c3",
            "a1 b2 c3",
            "stuck: the majority is lost for good: 1 of 3",
        ),
        (
            "the majority cannot use its data",
            "a=follower:1 b=failed:2 c=failed:3",
            "a1 b2 c3",
            "a1 b2 c3",
            "stuck: the majority is lost for good: 1 of 3 voters are there, and 2 are needed, but b has failed: broken; also c; bring",
        ),
        (
            "the only one cannot use its data",
            "a=failed:1",
            "",
            "a1",
            "stuck: every node answers, and none can use what it has: a has failed: broken; bring",
        ),
        (
            "a learner does not count",
            "a=follower:1 b=down c=learner:3",
            "a1 b2 c3?",
            "a1 b2",
            "wait: no majority: 1 of 2",
        ),
    ]);
}

#[test]
fn a_member_that_lost_its_data_is_replaced() {
    let (full, rest) = ("a1 b2 c3", "a1 b2 c9?");
    check(&[
        ("all is well", "a=leader:1 b=follower:2 c=follower:3", full, full, "nothing"),
        ("it gets an id", "a=leader:1 b=follower:2 c=blank", full, full, "prepare c"),
        ("the old one out first", "a=leader:1 b=follower:2 c=waits:9", full, full, "a: remove 3"),
        ("then the new one in", "a=leader:1 b=follower:2 c=waits:9", "a1 b2", full, "a: add c9"),
        (
            "its first snapshot",
            "a=leader:1 b=follower:2 c=waits:9",
            rest,
            full,
            "wait: c is to get its first snapshot",
        ),
        (
            "then the log",
            "a=leader:1 b=follower:2 c=learner:9",
            "a1 b2 c9?~",
            full,
            "wait: c catches up: it is 5000 entries behind",
        ),
        ("then it votes", "a=leader:1 b=follower:2 c=learner:9", rest, full, "a: promote 9"),
        ("wiped again as a learner", "a=leader:1 b=follower:2 c=waits:10", rest, full, "a: remove 9"),
        ("its learner is down", "a=leader:1 b=follower:2 c=down", rest, full, "wait: c does not answer"),
        (
            "both incarnations are members",
            "a=leader:1 b=follower:2 c=learner:9",
            "a1 b2 c3 c9?",
            full,
            "a: remove 3",
        ),
        (
            "what was remembered is lost, and not needed",
            "a=leader:1 b=follower:2 c=waits:9",
            full,
            "",
            "a: remove 3",
        ),
    ]);
}

#[test]
fn no_step_leaves_less_than_a_majority() {
    let five = "a1 b2 c3 d4 e5";
    check(&[
        (
            "another voter is down",
            "a=leader:1 b=down c=waits:9",
            "a1 b2 c3",
            "",
            "wait: c has lost its data, and stays a member: only 1 of 2 voters",
        ),
        (
            "another voter is behind",
            "a=leader:1 b=follower:2 c=waits:9",
            "a1 b2~ c3",
            "",
            "wait: c has lost its data, and stays a member: only 1 of 2 voters",
        ),
        (
            "a second one was wiped",
            "a=leader:1 b=waits:8 c=waits:9",
            "a1 b2 c3",
            "",
            "wait: b has lost its data, and stays",
        ),
        (
            "of five two may be gone",
            "a=leader:1 b=follower:2 c=follower:3 d=waits:8 e=waits:9",
            five,
            "",
            "a: remove 4",
        ),
        (
            "but not three",
            "a=leader:1 b=follower:2 c=down d=waits:8 e=waits:9",
            five,
            "",
            "wait: d has lost its data, and stays",
        ),
        (
            "nor may a voter come when too few would follow",
            "a=leader:1 b=down c=learner:9",
            "a1 b2~ c9? d4~",
            "",
            "wait: c cannot be made a voter yet: only 2 of 4",
        ),
        (
            "scaling in waits",
            "a=leader:1 b=down c-=follower:3",
            "a1 b2 c3",
            "",
            "wait: c cannot be taken out yet: only 1 of 2",
        ),
    ]);
}

#[test]
fn scaling() {
    let five = "a1 b2 c3 d4 e5";
    check(&[
        ("out: ids", "a=leader:1 b=blank c=blank", "a1", "", "prepare b c"),
        ("out: one at a time", "a=leader:1 b=waits:2 c=waits:3", "a1", "", "a: add b2"),
        ("out: the first is finished", "a=leader:1 b=waits:2 c=waits:3", "a1 b2?", "", "wait: b is to get"),
        ("out: promote", "a=leader:1 b=learner:2 c=waits:3", "a1 b2?", "", "a: promote 2"),
        ("out: the next", "a=leader:1 b=follower:2 c=waits:3", "a1 b2", "", "a: add c3"),
        (
            "out: a new node is not up yet",
            "a=leader:1 b=down",
            "a1",
            "",
            "wait: b is to have a member and does not answer",
        ),
        (
            "in: one at a time",
            "a=leader:1 b=follower:2 c=follower:3 d-=follower:4 e-=follower:5",
            five,
            "",
            "a: remove 4",
        ),
        (
            "in: one that is missing goes first",
            "a=leader:1 b=follower:2 c=follower:3 d-=follower:4 e-=down",
            five,
            "",
            "a: remove 5",
        ),
        (
            "in: the leader hands over first",
            "a-=leader:1 b=follower:2 c=follower:3",
            "a1 b2 c3",
            "",
            "a: hand over to",
        ),
        ("in: the leader goes last", "a-=leader:1 b=follower:2 c-=follower:3", "a1 b2 c3", "", "a: remove 3"),
        (
            "in: nobody to hand over to",
            "a-=leader:1 b=follower:2",
            "a1 b2~",
            "",
            "wait: a leads and is to go",
        ),
        ("in: a learner", "a=leader:1 b-=learner:2", "a1 b2?", "", "a: remove 2"),
        ("in: also one that is down", "a=leader:1 b-=down", "a1 b2?", "", "a: remove 2"),
        (
            "out and in: the new one comes first",
            "a=leader:1 b=follower:2 c-=follower:3 d=waits:4",
            "a1 b2 c3",
            "",
            "a: add d4",
        ),
        ("a node that nobody knows any more", "a=leader:1 b=follower:2", "a1 b2 c3", "", "a: remove 3"),
    ]);
}

#[test]
fn what_needs_a_person_is_said() {
    let full = "a1 b2 c3";
    check(&[
        (
            "failed",
            "a=leader:1 b=follower:2 c=failed:3",
            full,
            full,
            "stuck: c has failed: broken; let it start without",
        ),
        (
            "failed as a learner",
            "a=leader:1 b=follower:2 c=failed:3",
            "a1 b2 c3?",
            full,
            "stuck: c has failed",
        ),
        (
            "without room",
            "a=leader:1 b=follower:2 c=stalled:3",
            full,
            full,
            "stuck: c has stopped: full; it goes on by itself once there is room: raise",
        ),
        ("failed where nobody is desired", "a=leader:1 b=follower:2 c-=failed:3", "a1 b2", full, "nothing"),
        ("taken out before", "a=leader:1 b=follower:2 c=follower:3", "a1 b2", full, "c: discard c3"),
        (
            "as only the leader knows",
            "a=leader:1 b=unaware:2 c=follower:3",
            "a1 b2",
            full,
            "wait: c is to have",
        ),
        ("down", "a=leader:1 b=follower:2 c=down", full, full, "wait: c does not answer"),
        (
            "behind",
            "a=leader:1 b=follower:2 c=follower:3",
            "a1 b2 c3~",
            full,
            "wait: c catches up: it is 5000",
        ),
        (
            "others are replaced meanwhile",
            "a=leader:1 b=follower:2 c=failed:3 d=waits:9",
            "a1 b2 c3",
            full,
            "a: add d9",
        ),
    ]);
}

#[test]
fn nobody_leaves_as_long_as_those_who_stay_could_count_it_again() {
    for (what, nodes, members, expected) in [
        ("it is a member", "a=leader:1 b=follower:2 c-=follower:3", "a1 b2 c3", false),
        ("all know that it is out", "a=leader:1 b=follower:2 c-=follower:3", "a1 b2", true),
        ("only the leader knows", "a=leader:1 b=unaware:2 c-=unaware:3", "a1 b2", false),
        ("only the leader can be asked", "a=leader:1 b=down c-=down", "a1 b2", false),
        ("a majority knows", "a=leader:1 b=unaware:2 c-=unaware:3 d=follower:4", "a1 b2 d4", true),
        ("a learner does not count", "a=leader:1 b=unaware:2 c-=unaware:3 d=learner:4", "a1 b2 d4?", false),
        ("nobody leads", "a=candidate:1 b=down c-=follower:3", "a1 b2", false),
    ] {
        assert_eq!(
            may_leave(&observation(nodes, members), genesis("a1 b2 c3").as_ref(), "c"),
            expected,
            "{what}"
        );
    }
}
