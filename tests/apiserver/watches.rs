//! Watches that end in the middle of what they say: what changed meanwhile is seen, and nothing else is written.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::proxy::{Asked, Fate};
use crate::site::Site;

/// The kinds that an operator watches.
const KINDS: usize = 11;

/// Primitives, for pages of lists.
const PRIMITIVES: [&str; 4] = ["a", "b", "c", "d"];

/// Everything is changed that an operator has to do something about. `replicas` and `policy` are other ones than before.
fn change(site: &Site, replicas: u32, policy: &str) {
    site.plane.kubectl(&["delete", "service/sample-p0", "networkpolicy/sample-p0"]);
    site.change_group(json!({"spec": {"replicas": replicas}}));
    let patch = Patch::Merge(json!({"spec": {"deletionPolicy": policy}}));
    for name in PRIMITIVES {
        let (api, parameters) = (site.primitives(), PatchParams::default());
        site.simulation.runtime.block_on(api.patch(name, &parameters, &patch)).unwrap();
    }
}

/// Whether all of that has been followed.
fn is_followed(site: &Site, replicas: usize, policy: &str) -> bool {
    let are_there = ["service/sample-p0", "networkpolicy/sample-p0"];
    let list = site.primitives();
    let primitives = site.simulation.runtime.block_on(list.list(&ListParams::default())).unwrap().items;
    let has_finalizer = |finalizers: &Option<Vec<String>>| finalizers.iter().flatten().next().is_some();
    are_there.iter().all(|what| site.plane.find(what).is_some())
        && primitives.iter().all(|it| has_finalizer(&it.metadata.finalizers) == (policy == "Delete"))
        && site.group_has(replicas)
}

fn refuse_watches(asked: &Asked) -> Fate {
    if asked.watches() { Fate::Refuse(axum::http::StatusCode::SERVICE_UNAVAILABLE) } else { Fate::Pass }
}

fn what_changed_while_nobody_watched_is_seen_where_watches_go_on(site: &Site) {
    let cut = Instant::now();
    site.proxy.decide(refuse_watches);
    site.proxy.cut_watches();
    change(site, 5, "Delete");
    site.proxy.decide(|_| Fate::Pass);
    site.eventually("all is followed", || is_followed(site, 5, "Delete"));
    let again = site.proxy.asked_since(cut, |asked| asked.watches() && asked.is_done());
    let paths: BTreeSet<_> = again.iter().map(|asked| &asked.path).collect();
    assert_eq!(paths.len(), KINDS, "each watch goes on: {paths:?}");
    let listed = site.proxy.asked_since(cut, Asked::lists);
    assert!(listed.is_empty(), "where it was: {:#?}", listed.iter().map(Asked::what).collect::<Vec<_>>());
    site.nothing_is_written();
}

/// Lists have many pages then, as those of many objects have, and there is time between two pages.
fn what_changed_before_all_was_listed_again_is_seen(site: &Site) {
    let cut = Instant::now();
    site.proxy.decide(refuse_watches);
    site.proxy.cut_watches();
    change(site, 3, "Retain");
    let expired = Mutex::new(BTreeSet::new());
    site.proxy.rule(move |asked| {
        if asked.watches() {
            let is_first = expired.lock().unwrap().insert(asked.path);
            return futures::future::ready(if is_first { Fate::Expired } else { Fate::Pass }).boxed();
        }
        let is_next = asked.query.contains("continue=");
        async move {
            if is_next {
                sleep(Duration::from_millis(100)).await;
            }
            Fate::PassAs(asked.query.replace("limit=500", "limit=1"))
        }
        .boxed()
    });
    let is_last_page =
        |asked: &Asked| asked.query.contains("continue=") && asked.path.ends_with("/primitives");
    site.eventually("all is listed", || {
        site.proxy.asked_since(cut, is_last_page).len() == PRIMITIVES.len() - 1
            && site.proxy.asked_since(cut, Asked::lists).len() == KINDS
    });
    site.eventually("all is watched", || {
        let watched = site.proxy.asked_since(cut, |asked| asked.watches() && asked.is_done());
        watched.len() == 2 * KINDS
    });
    site.proxy.decide(|_| Fate::Pass);
    site.eventually("all is followed", || is_followed(site, 3, "Retain"));
    site.nothing_is_written();
}

#[test]
fn what_changes_while_watches_are_cut_is_followed_and_nothing_else_is_written() {
    let site = Site::start();
    site.declare_group();
    for name in PRIMITIVES {
        site.declare_primitive(name);
    }
    site.eventually("the group is ready", || site.group_has(3));
    site.eventually("the primitives exist", || site.primitives_are("AsDeclared"));
    site.nothing_is_written();
    what_changed_while_nobody_watched_is_seen_where_watches_go_on(&site);
    what_changed_before_all_was_listed_again_is_seen(&site);
}
