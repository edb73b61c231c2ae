//! Metrics and health over HTTP, for Prometheus and kubelets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::accept::Acceptor;
use crate::host::Host;
use crate::slot::Standing;

/// A replica that did not take its turn for this long after it should have hangs.
const HANGS: Duration = Duration::from_secs(10);

/// Serves until the node goes down.
pub(crate) async fn serve(host: Arc<Host>, acceptor: Acceptor, mut ending: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(host);
    let end = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    if let Err(error) = axum::serve(acceptor, router).with_graceful_shutdown(end).await {
        tracing::error!(%error, "the metrics server stopped");
    }
}

async fn metrics(State(host): State<Arc<Host>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], host.metrics.page())
}

/// Live: every replica that is here takes its turns. One that has failed does as well: to start the process again
/// would not help it.
async fn live(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    let overdue = |slot: &Arc<crate::slot::Slot>| match slot.standing() {
        Standing::Running(running) => Some(running.overdue()).filter(|overdue| *overdue > HANGS),
        _ => None,
    };
    let hangs = host.slots().into_iter().filter_map(|slot| {
        overdue(&slot).map(|overdue| format!("replica {} hangs since {} s", slot.name(), overdue.as_secs()))
    });
    answer(hangs.collect())
}

/// Ready: the node does not go down, and every replica that is here runs and knows a leader. The answer names those
/// that do not.
async fn ready(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    answer(host.problems())
}

fn answer(problems: Vec<String>) -> (StatusCode, String) {
    if problems.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = problems.into_iter().map(|problem| problem + "\n");
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}
