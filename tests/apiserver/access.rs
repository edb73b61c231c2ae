//! Who may find which groups, with tokens and rights of the API server's own.

use std::time::Duration;

use futures::StreamExt as _;
use synod_client::controller::{Authorities, Controller};
use synod_client::{Credentials, Error, ErrorCode};
use tokio::time::{Instant, sleep, timeout};

use crate::control_plane::{ControlPlane, Operator};

const GROUPS: &str = "
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: orders, namespace: shop}
spec: {partitions: 1}
---
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: books, namespace: bank}
spec: {partitions: 1}
";

/// Longer than any answer is remembered.
const PATIENCE: Duration = Duration::from_secs(150);

fn start() -> ControlPlane {
    let plane = ControlPlane::start();
    for namespace in ["shop", "bank"] {
        plane.kubectl(&["create", "namespace", namespace]);
    }
    plane.kubectl(&["--namespace=shop", "create", "serviceaccount", "till"]);
    plane.apply(GROUPS);
    plane
}

fn token(plane: &ControlPlane) -> String {
    plane.kubectl(&["--namespace=shop", "create", "token", "till"])
}

/// A client in a pod, which says this of itself.
fn client(plane: &ControlPlane, operator: &Operator, credentials: Credentials) -> Controller {
    let api_server = plane.api_server(&token(plane));
    let authorities = Authorities::Published { api_server, namespace: "synod-system".to_owned() };
    Controller::trusting(authorities, &operator.controller, credentials).unwrap()
}

fn till(plane: &ControlPlane, operator: &Operator) -> Controller {
    client(plane, operator, Credentials::Token(token(plane)))
}

/// Asks until the answer is as expected.
async fn until<T>(
    plane: &ControlPlane,
    ask: impl AsyncFn() -> Result<T, Error>,
    is_so: impl Fn(&Result<T, Error>) -> bool,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if is_so(&answer) {
            return answer;
        }
        let problem = answer.err().map(|error| error.to_string());
        assert!(started.elapsed() < PATIENCE, "{problem:?}\n{}", plane.log());
        sleep(Duration::from_millis(100)).await;
    }
}

fn is<T>(code: ErrorCode) -> impl Fn(&Result<T, Error>) -> bool {
    move |answer| answer.as_ref().is_err_and(|error| error.code() == code)
}

/// Runs what a refusal tells an administrator to run.
fn obey(plane: &ControlPlane, refusal: &Error) {
    let command = refusal.message().split('`').nth(1).expect("a refusal says what to run");
    let arguments: Vec<_> = command.strip_prefix("kubectl ").unwrap().split(' ').collect();
    plane.kubectl(&arguments);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_finds_what_its_account_may_see_and_a_refusal_says_how_to_let_it() {
    let plane = start();
    let operator = plane.start_operator("first");
    let till = till(&plane, &operator);

    let nobody = client(&plane, &operator, Credentials::None);
    let ask_nobody = async || nobody.group("shop", "").await;
    until(&plane, ask_nobody, is(ErrorCode::Unauthenticated)).await.unwrap_err();
    let forged = client(&plane, &operator, Credentials::Token("e30.e30.x".into()));
    let error = forged.group("shop", "").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthenticated, "{error}");

    let refusal = till.group("shop", "").await.unwrap_err();
    assert_eq!(refusal.code(), ErrorCode::Forbidden, "{refusal}");
    obey(&plane, &refusal);
    let found = until(&plane, async || till.group("shop", "").await, Result::is_ok).await.unwrap();
    assert_eq!(found.name, "orders");
    assert_eq!(till.groups("shop").await.unwrap().len(), 1);
    let elsewhere = till.group("bank", "books").await.unwrap_err();
    assert_eq!(elsewhere.code(), ErrorCode::Forbidden, "{elsewhere}");
    let all = till.groups("").await.unwrap_err();
    assert_eq!(all.code(), ErrorCode::Forbidden, "{all}");
    obey(&plane, &all);
    let all = until(&plane, async || till.groups("").await, Result::is_ok).await.unwrap();
    assert_eq!(all.len(), 2);

    let (_, forbidden) = plane.counts();
    assert!(forbidden < 0.5, "the operator may not do what it has to: {}", plane.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_the_right_or_the_account_is_gone() {
    let plane = start();
    let operator = plane.start_operator("first");
    let till = till(&plane, &operator);
    let binding = ["rolebinding", "till", "--clusterrole=synod-client", "--serviceaccount=shop:till"];
    for (what, code) in
        [("rolebinding", ErrorCode::Forbidden), ("serviceaccount", ErrorCode::Unauthenticated)]
    {
        plane.kubectl(&[&["--namespace=shop", "create"], &binding[..]].concat());
        let watching = async || till.watch_groups("shop", "").await;
        let mut watch =
            until(&plane, watching, Result::is_ok).await.unwrap_or_else(|error| panic!("{error}"));
        plane.kubectl(&["--namespace=shop", "delete", what, "till"]);
        let ended = timeout(PATIENCE, async { while watch.next().await.is_some() {} }).await;
        ended.unwrap_or_else(|_| panic!("the {what} is gone, and the watch goes on: {}", plane.log()));
        let refused = till.watch_groups("shop", "").await.err().map(|error| error.code());
        assert_eq!(refused, Some(code), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_told_so_asks_nobody_who_he_is() {
    let plane = start();
    let operator = plane.start_operator_with("first", &["--access=none"]);
    let anybody = client(&plane, &operator, Credentials::None);
    let groups = async || anybody.groups("").await;
    let both = |groups: &Result<Vec<_>, Error>| groups.as_ref().is_ok_and(|groups| groups.len() == 2);
    until(&plane, groups, both).await.unwrap();
}
