//! An API server that does not do what it should for a while: who keeps asking does so ever more rarely, and goes on when it
//! can. Who cannot renew the lease stops.
//!
//! Nobody starts the pods here: what an operator writes are the objects around them.

use std::time::Duration;

use axum::http::StatusCode;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::control_plane::{ControlPlane, Operator};
use crate::proxy::{Asked, Fate, Proxy};
use crate::simulation::client;

/// How long something may take on a machine that is busy. It is longer than the longest pause of who tries again.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the API server is of no use.
const OUTAGE: Duration = Duration::from_secs(12);

/// How many requests a second are fine meanwhile, on average. An operator that tried again at once would send hundreds.
const RATE_MAX: f64 = 15.0;

/// How long a lease lasts that is not renewed.
const LEASE: Duration = Duration::from_secs(15);

/// A namespace with a group, and an operator of its own.
struct Place<'a> {
    plane: &'a ControlPlane,
    client: Client,
    namespace: String,
}

impl<'a> Place<'a> {
    async fn prepare(plane: &'a ControlPlane, namespace: &str) -> Self {
        let client = client(&plane.kubeconfig("admin")).await;
        let metadata = ObjectMeta { name: Some(namespace.to_owned()), ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let place = Self { plane, client, namespace: namespace.to_owned() };
        let kind = ApiResource::erase::<synod_api::PartitionGroup>(&());
        let group = DynamicObject::new("sample", &kind).data(json!({"spec": {"partitions": 1}}));
        let groups: Api<DynamicObject> = Api::namespaced_with(place.client.clone(), namespace, &kind);
        groups.create(&PostParams::default(), &group).await.unwrap();
        place
    }

    async fn start(&self, name: &str) -> (Proxy, Operator) {
        let name = format!("{}-{name}", self.namespace);
        let proxy = Proxy::start(self.plane, &name).await;
        let arguments = ["namespace", "watched-namespace"].map(|it| format!("--{it}={}", self.namespace));
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        // What is counted here is what becomes of groups.
        arguments.push("--controller-tls=none");
        let operator = self.plane.start_operator_at(&proxy.kubeconfig, &name, &arguments);
        (proxy, operator)
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn is_there(&self, service: &str) -> bool {
        self.services().get_opt(service).await.unwrap().is_some()
    }

    async fn delete(&self, service: &str) {
        match self.services().delete(service, &DeleteParams::default()).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => {}
            deleted => drop(deleted.unwrap()),
        }
    }

    async fn eventually(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !is_so().await {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("{}: {what}: not after {PATIENCE:?}\n{}", self.namespace, self.plane.log());
        }
    }
}

/// For a while nothing that is asked for happens, but that the lease is renewed.
async fn an_outage_is_borne(plane: &ControlPlane, namespace: &str, fate: fn() -> Fate) {
    let place = Place::prepare(plane, namespace).await;
    let (proxy, mut operator) = place.start("first").await;
    place.eventually("all is written", async || place.is_there("sample-p0").await).await;
    let began = Instant::now();
    proxy.decide(move |asked| if asked.is_about_lease() { Fate::Pass } else { fate() });
    // Those that it was about to write anyway are not there either.
    for service in ["sample", "sample-p0"] {
        place.delete(service).await;
    }
    proxy.cut_watches();
    sleep(OUTAGE).await;
    let asked = proxy.asked_since(began, |asked| !asked.is_about_lease());
    let rate = asked.len() as f64 / began.elapsed().as_secs_f64();
    println!("{namespace}: {rate:.1} requests a second");
    assert!(!asked.is_empty() && rate < RATE_MAX, "{namespace}: {rate} requests a second");
    proxy.decide(|_| Fate::Pass);
    let over = Instant::now();
    place
        .eventually("the operator goes on", async || {
            place.is_there("sample").await && place.is_there("sample-p0").await
        })
        .await;
    println!("{namespace}: it goes on after {:.1} s", over.elapsed().as_secs_f64());
    assert_eq!(operator.process.ended(), None, "{namespace}: it has borne that\n{}", plane.log());
}

fn last(writes: &[Asked]) -> Instant {
    writes.iter().map(|asked| asked.at).max().unwrap()
}

/// The operator that acts does not hear of its lease any more. All that it writes can pass.
async fn who_cannot_renew_the_lease_stops_before_another_one_begins(plane: &ControlPlane) {
    let place = Place::prepare(plane, "lease").await;
    let (first, mut operator) = place.start("first").await;
    place.eventually("all is written", async || place.is_there("sample-p0").await).await;
    let (second, _standby) = place.start("second").await;
    let is_write = |asked: &Asked| asked.writes() && !asked.is_about_lease();
    let renews = |asked: &Asked| asked.is_about_lease() && asked.writes() && asked.is_done();
    place.eventually("it renews its lease", async || first.traffic().iter().any(renews)).await;

    // There is always something to write.
    let began = Instant::now();
    let trouble = async {
        loop {
            place.delete("sample").await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let succession = async {
        first.decide(|asked| if asked.is_about_lease() { Fate::Silence } else { Fate::Pass });
        place.eventually("the first ends by itself", async || operator.process.ended().is_some()).await;
        let ended = Instant::now();
        place.eventually("the second acts", async || !second.asked_since(began, is_write).is_empty()).await;
        ended
    };
    let ended = tokio::select! {
        () = trouble => unreachable!("it goes on"),
        ended = succession => ended,
    };
    let renewed = last(&first.traffic().into_iter().filter(renews).collect::<Vec<_>>());
    let written = first.asked_since(began, is_write);
    let taken_over = second.traffic().into_iter().find(renews).unwrap().at;
    let busy = written.iter().filter(|asked| asked.at > renewed + Duration::from_secs(2)).count();
    assert!(busy > 5, "it acts as long as it may: {busy} writes");
    assert!(last(&written) < taken_over, "two act at once");
    assert!(ended < taken_over, "the second begins {:?} too early", ended - taken_over);
    assert!(taken_over >= renewed + LEASE, "the second waits until the lease is over");
    let seconds = |at: Instant| (at - renewed).as_secs_f64();
    println!(
        "renewed, then: last write {:.1} s, end {:.1} s, next {:.1} s",
        seconds(last(&written)),
        seconds(ended),
        seconds(taken_over)
    );
    assert_eq!(operator.process.ended(), Some(false), "it says that all is not well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_borne_and_a_lease_that_is_lost_is_obeyed() {
    let plane = ControlPlane::start();
    plane.let_operators_lead_anywhere();
    tokio::join!(
        an_outage_is_borne(&plane, "too-many-requests", || Fate::Refuse(StatusCode::TOO_MANY_REQUESTS)),
        an_outage_is_borne(&plane, "internal-error", || Fate::Refuse(StatusCode::INTERNAL_SERVER_ERROR)),
        an_outage_is_borne(&plane, "unavailable", || Fate::Refuse(StatusCode::SERVICE_UNAVAILABLE)),
        an_outage_is_borne(&plane, "silence", || Fate::Silence),
        who_cannot_renew_the_lease_stops_before_another_one_begins(&plane),
    );
}
