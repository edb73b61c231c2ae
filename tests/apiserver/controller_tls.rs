//! Whom a pod believes to be the controller: what operators share and publish, with the rights that the API server gives.

use std::time::Duration;

use synod_client::Credentials;
use synod_client::controller::{Authorities, Controller};
use tokio::time::{Instant, sleep};

use crate::control_plane::{ControlPlane, Operator};

const SECRETS: [&str; 2] = ["secret/synod-controller-authority", "secret/synod-controller-tls"];
const CONFIG_MAP: &str = "configmap/synod-controller-ca";
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether somebody may do something in the namespace of the operators.
fn may(plane: &ControlPlane, user: &str, what: &[&str]) -> bool {
    let user = format!("--as={user}");
    let who = ["--namespace=synod-system", &user, "--as-group=system:serviceaccounts", "auth", "can-i"];
    let said = plane.run(&[&who[..], what].concat(), None);
    String::from_utf8_lossy(&said.stdout).trim() == "yes"
}

#[test]
fn every_account_may_read_who_vouches_for_the_controller_and_operators_write_only_what_they_share() {
    let plane = ControlPlane::start();
    let anybody = "system:serviceaccount:shop:till";
    assert!(may(&plane, anybody, &["get", CONFIG_MAP]));
    for verb in ["list", "watch", "update", "patch", "delete"] {
        assert!(!may(&plane, anybody, &[verb, CONFIG_MAP]), "{verb}");
    }
    for other in ["configmap/other", SECRETS[0], SECRETS[1]] {
        assert!(!may(&plane, anybody, &["get", other]), "{other}");
    }
    // What is left where an operator is for one other namespace alone.
    plane.kubectl(&["delete", "clusterrolebinding", "synod-operator"]);
    let operator = "system:serviceaccount:synod-system:synod-operator";
    for object in [SECRETS[0], SECRETS[1], CONFIG_MAP] {
        let (kind, _) = object.split_once('/').unwrap();
        assert!(may(&plane, operator, &["create", kind]), "{kind}");
        for verb in ["get", "update"] {
            assert!(may(&plane, operator, &[verb, object]), "{verb} {object}");
            assert!(!may(&plane, operator, &[verb, &format!("{kind}/other")]), "{verb} {kind}");
        }
        for verb in ["list", "watch", "patch", "delete"] {
            assert!(!may(&plane, operator, &[verb, object]), "{verb} {object}");
        }
    }
}

/// A client in a pod.
fn client(plane: &ControlPlane, operator: &Operator) -> Controller {
    let token = plane.kubectl(&["create", "token", "till"]);
    let api_server = plane.api_server(&token);
    let authorities = Authorities::Published { api_server, namespace: "synod-system".to_owned() };
    Controller::trusting(authorities, &operator.controller, Credentials::Token(token)).unwrap()
}

async fn answers(plane: &ControlPlane, client: &Controller, what: &str) {
    let started = Instant::now();
    while let Err(error) = client.groups("default").await {
        assert!(started.elapsed() < PATIENCE, "{what}: {error}\n{}", plane.log());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_share_a_certificate_and_clients_follow_when_it_is_made_anew() {
    let plane = ControlPlane::start();
    plane.kubectl(&["create", "serviceaccount", "till"]);
    let right = ["rolebinding", "till", "--clusterrole=synod-client", "--serviceaccount=default:till"];
    plane.kubectl(&[&["create"], &right[..]].concat());
    let shared = || {
        [SECRETS[0], SECRETS[1], CONFIG_MAP].map(|object| {
            let (namespace, output) =
                ("--namespace=synod-system", "--output=jsonpath={.metadata.uid}{.data}");
            let said = plane.run(&["get", namespace, object, output], None);
            said.status.success().then(|| String::from_utf8_lossy(&said.stdout).into_owned())
        })
    };
    let is_complete = || shared().iter().all(Option::is_some);
    let operators = [plane.start_operator("first"), plane.start_operator("second")];
    let clients = operators.each_ref().map(|operator| client(&plane, operator));
    for client in &clients {
        answers(&plane, client, "an operator is believed").await;
    }
    let before = shared();

    let all = [SECRETS[0], SECRETS[1], CONFIG_MAP];
    plane.kubectl(&[&["--namespace=synod-system", "delete"], &all[..]].concat());
    plane.eventually("all is made anew", is_complete);
    let after = shared();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");
    // Nobody who is connected notices; whoever connects now sees another certificate.
    let anew = operators.each_ref().map(|operator| client(&plane, operator));
    for client in clients.iter().chain(&anew) {
        answers(&plane, client, "the new certificate is believed").await;
    }
    let (_, forbidden) = plane.counts();
    assert!(forbidden < 0.5, "somebody may not do what he has to: {}", plane.log());
}
