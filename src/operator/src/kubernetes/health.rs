//! Health and metrics of the operator over HTTP, for kubelets and Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kube::runtime::reflector::Store;
use synod_api::PartitionGroup;
use tokio::net::TcpListener;

use super::metrics::{CONTENT_TYPE, Metrics};

/// Whether this operator can answer for the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    knows_the_cluster: AtomicBool,
    can_show_who_it_is: AtomicBool,
}

impl Readiness {
    /// Everything has been listed once.
    pub(super) fn knows_the_cluster(&self) {
        self.0.knows_the_cluster.store(true, Ordering::Relaxed);
    }

    /// Clients get a certificate to see, or none is wanted.
    pub(super) fn can_show_who_it_is(&self) {
        self.0.can_show_who_it_is.store(true, Ordering::Relaxed);
    }

    /// What is missing.
    fn lack(&self) -> Option<&'static str> {
        let facts = [
            (&self.0.knows_the_cluster, "the cluster has not been listed yet\n"),
            (&self.0.can_show_who_it_is, "there is no certificate for the controller service yet\n"),
        ];
        facts.into_iter().find(|(fact, _)| !fact.load(Ordering::Relaxed)).map(|(_, lack)| lack)
    }
}

/// Serves until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    groups: Store<PartitionGroup>,
) -> std::io::Result<()> {
    let page = async move || ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.page(&groups)).into_response();
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(page));
    axum::serve(listener, router.with_state(readiness)).await
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    readiness.lack().map_or((StatusCode::OK, "ok\n"), |lack| (StatusCode::SERVICE_UNAVAILABLE, lack))
}
