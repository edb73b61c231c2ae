//! Metrics and health over HTTP, for Prometheus and kubelets.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::{Host, Standing};

/// Serves until the node goes down.
pub(crate) async fn serve(host: Arc<Host>, listener: TcpListener, mut ending: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(host);
    let end = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
        tracing::error!(%error, "the metrics server stopped");
    }
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], host.metrics.page())
}

/// Ready: every replica that is here runs and knows a leader. The answer names those that do not.
async fn ready(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    let mut problems = Vec::new();
    for slot in host.slots() {
        let problem = match slot.standing() {
            Standing::Running(running) if running.glance().borrow().standing.leader.is_some() => continue,
            Standing::Running(_) => "knows no leader".to_owned(),
            Standing::Blank | Standing::Waiting(_) => "waits to be bootstrapped or to join".to_owned(),
            Standing::Failed(_, error) => format!("has failed: {error}"),
        };
        problems.push(format!("replica {} {problem}\n", slot.name()));
    }
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, problems.concat())
    }
}
