//! Health of the operator over HTTP, for kubelets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

/// Whether this operator knows the cluster, and so can answer for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, readiness: Readiness) -> std::io::Result<()> {
    let router = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready));
    axum::serve(listener, router.with_state(readiness)).await
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.0.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been listed yet\n")
    }
}
