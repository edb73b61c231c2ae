//! gRPC health: what load balancers and probes ask.
//!
//! The node as a whole, and with it each of its services, serves when every replica that it hosts runs and knows a
//! leader, and the node does not go down.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::select_all;
use synod_proto::admin::v1::admin_server;
use synod_proto::counter::v1::counter_server;
use synod_proto::election::v1::election_server;
use synod_proto::lock::v1::lock_server;
use synod_proto::map::v1::map_server;
use synod_proto::session::v1::session_server;
use synod_proto::set::v1::set_server;
use synod_proto::value::v1::value_server;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use crate::host::Host;
use crate::slot::Standing;

/// What health is told of: everything on the client port. The empty name is the node as a whole.
const SERVICES: [&str; 9] = [
    "",
    admin_server::SERVICE_NAME,
    counter_server::SERVICE_NAME,
    election_server::SERVICE_NAME,
    lock_server::SERVICE_NAME,
    map_server::SERVICE_NAME,
    session_server::SERVICE_NAME,
    set_server::SERVICE_NAME,
    value_server::SERVICE_NAME,
];

/// The health service, and what keeps it up to date.
pub(crate) async fn health(host: Arc<Host>) -> (HealthServer<impl Health>, impl Future<Output = ()>) {
    let (reporter, server) = health_reporter();
    report(&reporter, ServingStatus::NotServing).await;
    (server, keep_up_to_date(host, reporter))
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

async fn keep_up_to_date(host: Arc<Host>, reporter: HealthReporter) {
    let mut told = ServingStatus::NotServing;
    loop {
        // Listening begins before looking, so that no change falls between.
        let mut changes = host.changes();
        let mut glances = Vec::new();
        for slot in host.slots() {
            if let Standing::Running(running) = slot.standing() {
                glances.push(running.glance());
            }
        }
        glances.iter_mut().for_each(|glance| glance.mark_unchanged());
        let serves = host.problems().is_empty();
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        if status != told {
            report(&reporter, status).await;
            told = status;
        }
        if host.drain.has_begun() {
            return;
        }
        let glances = glances.iter_mut().map(|glance| glance.changed().map(|_| ()).boxed());
        let any_glance = select_all(glances.chain([futures::future::pending().boxed()]));
        tokio::select! {
            _ = any_glance => {}
            _ = changes.changed() => {}
            () = host.drain.begun() => {}
        }
    }
}
