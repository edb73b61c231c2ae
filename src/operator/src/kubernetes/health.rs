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

/// Whether this operator knows the cluster, and so can answer for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
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
    if readiness.0.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been listed yet\n")
    }
}
