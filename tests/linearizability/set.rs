//! Sets.

use synod_testkit::linearizability::Operation;
use synod_testkit::linearizability::models::set::{Action, Input, Output, SetModel};
use synod_testkit::linearizability::models::{Answer, ClockBound, Shard};
use synod_types::{PartitionId, PrimitiveId};

use crate::judge::{accept, answered, millis, ms, open, refuse};

type Op = Operation<Input, Answer<Output>>;

const MODEL: SetModel = SetModel { clock: ClockBound::EXACT };
const SHARD: Shard = Shard { primitive: PrimitiveId(1), partition: PartitionId(0) };

fn done(from: u64, to: u64, action: Action, output: Output) -> Op {
    answered(0, from, to, Input { shard: SHARD, action }, Ok(output))
}

fn add_action(element: &str, ttl_ms: Option<u64>) -> Action {
    Action::Add { element: element.into(), ttl: ttl_ms.map(millis) }
}

fn add(from: u64, to: u64, element: &str, added: bool) -> Op {
    done(from, to, add_action(element, None), Output::Is(added))
}

fn remove(from: u64, to: u64, element: &str, removed: bool) -> Op {
    done(from, to, Action::Remove(element.into()), Output::Is(removed))
}

fn contains(from: u64, to: u64, element: &str, contains: bool) -> Op {
    done(from, to, Action::Contains(element.into()), Output::Is(contains))
}

#[test]
fn an_element_is_added_once() {
    accept(&MODEL, &[add(0, 10, "a", true), add(5, 15, "a", false)]);
    refuse(&MODEL, &[add(0, 10, "a", true), add(5, 15, "a", true)], 1);
    refuse(&MODEL, &[add(0, 10, "a", false)], 0);
    accept(&MODEL, &[add(0, 10, "a", true), remove(5, 15, "a", true), add(7, 17, "a", true)]);
}

#[test]
fn an_element_that_was_added_is_there_until_it_is_removed() {
    refuse(&MODEL, &[add(0, 1, "a", true), contains(2, 3, "a", false)], 1);
    accept(&MODEL, &[add(0, 1, "a", true), remove(2, 9, "a", true), contains(3, 4, "a", false)]);
    refuse(&MODEL, &[remove(0, 1, "a", true)], 0);
    refuse(&MODEL, &[add(0, 1, "a", true), remove(2, 3, "a", false)], 1);
}

/// A retry of a removal that runs again, after somebody else has added the element, takes it away.
#[test]
fn a_removal_that_happens_twice_is_refused() {
    let history =
        [add(0, 1, "a", true), remove(2, 3, "a", true), add(4, 5, "a", true), contains(6, 7, "a", false)];
    refuse(&MODEL, &history, 3);
}

#[test]
fn a_removal_without_an_answer_may_happen_late() {
    let lost = || open(1, 2, Input { shard: SHARD, action: Action::Remove("a".into()) });
    accept(&MODEL, &[add(0, 1, "a", true), lost(), contains(3, 4, "a", true), contains(5, 6, "a", false)]);
    let back = [add(0, 1, "a", true), lost(), contains(3, 4, "a", false), contains(5, 6, "a", true)];
    refuse(&MODEL, &back, 3);
}

#[test]
fn what_is_there_keeps_its_ttl() {
    let history = |gone_ms| {
        [
            done(ms(0), ms(1), add_action("a", Some(100)), Output::Is(true)),
            done(ms(50), ms(51), add_action("a", Some(100)), Output::Is(false)),
            contains(ms(60), ms(gone_ms), "a", false),
        ]
    };
    accept(&MODEL, &history(120));
    refuse(&MODEL, &history(99), 2);
}

#[test]
fn lengths_clears_and_listings_are_of_one_moment() {
    let after = |last| [add(0, 1, "a", true), add(2, 3, "b", true), last];
    let listed =
        |elements: &[&str]| Output::Listed(elements.iter().map(|element| (*element).into()).collect());
    accept(&MODEL, &after(done(4, 5, Action::Len, Output::Count(2))));
    refuse(&MODEL, &after(done(4, 5, Action::Len, Output::Count(1))), 2);
    accept(&MODEL, &after(done(4, 5, Action::Clear, Output::Count(2))));
    refuse(&MODEL, &after(done(4, 5, Action::Clear, Output::Count(3))), 2);
    accept(&MODEL, &after(done(4, 5, Action::List(String::new()), listed(&["a", "b"]))));
    refuse(&MODEL, &after(done(4, 5, Action::List(String::new()), listed(&["b", "a"]))), 2);
    refuse(&MODEL, &after(done(4, 5, Action::List(String::new()), listed(&["a"]))), 2);
    refuse(&MODEL, &after(done(4, 5, Action::List("b".into()), listed(&["a", "b"]))), 2);
    let cleared =
        [add(0, 1, "a", true), done(2, 3, Action::Clear, Output::Count(1)), contains(4, 5, "a", true)];
    refuse(&MODEL, &cleared, 2);
}
