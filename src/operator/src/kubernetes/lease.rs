//! Which of several operators acts: the one that holds a Lease.
//!
//! The lease is taken and renewed by compare-and-swap on its resource version. Who competes for it trusts no clock but its
//! own: a lease is up for grabs when it has not changed for as long as it says, counted from when its last change was
//! seen. Who holds it stops at once when it could not renew it for two thirds of that time, so that it has stopped before
//! anybody else begins.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::backoff::jittered;

/// The name of the lease.
const NAME: &str = "synod-operator";

/// How long a lease lasts that is not renewed.
const DURATION_SECONDS: u8 = 15;

/// How often it is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);

/// A holder that has not renewed it for so long stops.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often others look at it.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long the API server has to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// One who competes for the lease.
pub(super) struct Candidate {
    api: Api<Lease>,
    identity: String,
}

/// The lease as it was last seen, and when that was.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// The lease is held, as of when it was last renewed.
pub(super) struct Held {
    candidate: Candidate,
    lease: Lease,
    renewed: Instant,
}

impl Candidate {
    pub(super) fn new(client: Client, namespace: &str, identity: impl Into<String>) -> Self {
        Self { api: Api::namespaced(client, namespace), identity: identity.into() }
    }

    /// Returns when this one holds the lease.
    pub(super) async fn acquire(self) -> Held {
        let mut seen = None;
        loop {
            let asked = Instant::now();
            match timeout(PATIENCE, self.try_acquire(&mut seen)).await {
                Ok(Ok(Some(lease))) => return Held { candidate: self, lease, renewed: asked },
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the lease cannot be had"),
                Err(_) => tracing::warn!("the lease cannot be had: the API server does not answer"),
            }
            sleep(jittered(LOOK_INTERVAL)).await;
        }
    }

    /// Takes the lease if nobody has it. Returns nothing if somebody has.
    async fn try_acquire(&self, seen: &mut Option<Seen>) -> Result<Option<Lease>, kube::Error> {
        let Some(lease) = self.api.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.taken(None)) };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let is_same = |last: &Seen| last.lease.metadata.resource_version == lease.metadata.resource_version;
        let since = seen.take().filter(is_same).map_or_else(Instant::now, |last| last.since);
        let is_free = is_free(&lease, since.elapsed());
        let mut next = lease.clone();
        next.spec = Some(self.taken(lease.spec.as_ref()));
        *seen = Some(Seen { lease, since });
        if !is_free {
            return Ok(None);
        }
        won(self.api.replace(NAME, &PostParams::default(), &next).await)
    }

    fn taken(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION_SECONDS.into()),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(
                before.and_then(|spec| spec.lease_transitions).map_or(0, |count| count + 1),
            ),
            ..LeaseSpec::default()
        }
    }
}

/// Whether a lease that has not changed for so long can be taken.
fn is_free(lease: &Lease, unchanged: Duration) -> bool {
    let Some(spec) = &lease.spec else { return true };
    let is_released = spec.holder_identity.as_deref().is_none_or(str::is_empty);
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    is_released || unchanged > Duration::from_secs(seconds.unwrap_or(DURATION_SECONDS.into()))
}

/// Somebody who was faster is no error.
fn won(outcome: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match outcome {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why the lease is held no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the lease was not renewed in time: {0}")]
    Late(String),
    #[error("somebody else has taken the lease")]
    Taken,
}

impl Held {
    /// Renews the lease. Returns when it is lost, before anybody else can have it, unless somebody overwrote it by hand.
    pub(super) async fn keep(&mut self) -> Lost {
        let mut problem = String::new();
        loop {
            let pause = if problem.is_empty() { RENEW_INTERVAL } else { jittered(LOOK_INTERVAL) };
            let deadline = self.renewed + RENEW_DEADLINE;
            sleep_until(deadline.min(Instant::now() + pause)).await;
            let asked = Instant::now();
            if asked >= deadline {
                return Lost::Late(problem);
            }
            match timeout_at(deadline.min(asked + PATIENCE), self.renew()).await {
                Ok(Ok(true)) => {
                    self.renewed = asked;
                    problem.clear();
                }
                Ok(Ok(false)) => return Lost::Taken,
                Ok(Err(error)) => problem = error.to_string(),
                Err(_) => "the API server does not answer".clone_into(&mut problem),
            }
        }
    }

    /// Renews the lease once. False if somebody else has it.
    async fn renew(&mut self) -> Result<bool, kube::Error> {
        match self.replace().await {
            // An answer may have been lost, or somebody have edited a label: what counts is who holds it.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.lease = self.candidate.api.get(NAME).await?;
                let holder = self.lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
                if holder != Some(&self.candidate.identity) {
                    return Ok(false);
                }
                // There may be no time left for a pause: an answer that was lost has cost some.
                self.replace().await.map(|()| true)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            done => done.map(|()| true),
        }
    }

    async fn replace(&mut self) -> Result<(), kube::Error> {
        if let Some(spec) = &mut self.lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        self.lease = self.candidate.api.replace(NAME, &PostParams::default(), &self.lease).await?;
        Ok(())
    }

    /// Gives the lease up, so that nobody has to wait for its end. The caller does nothing any more.
    pub(super) async fn release(mut self) {
        if let Some(spec) = &mut self.lease.spec {
            spec.holder_identity = None;
        }
        let parameters = PostParams::default();
        let released = self.candidate.api.replace(NAME, &parameters, &self.lease);
        if !matches!(timeout(PATIENCE, released).await, Ok(Ok(_))) {
            tracing::warn!("the lease could not be released: the next operator waits until it ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    fn lease(holder: Option<&str>, seconds: Option<i32>) -> Lease {
        let spec = LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn a_lease_is_free_when_nobody_holds_it_or_it_stands_still() {
        let second = Duration::from_secs(1);
        assert!(is_free(&Lease::default(), Duration::ZERO));
        assert!(is_free(&lease(None, Some(15)), Duration::ZERO));
        assert!(is_free(&lease(Some(""), Some(15)), Duration::ZERO));
        assert!(!is_free(&lease(Some("a"), Some(15)), second * 15));
        assert!(is_free(&lease(Some("a"), Some(15)), second * 16));
        assert!(!is_free(&lease(Some("a"), Some(-1)), second * 14), "nonsense is read as the usual");
    }

    #[test]
    fn a_holder_stops_before_anybody_else_begins() {
        let lease = Duration::from_secs(DURATION_SECONDS.into());
        assert!(RENEW_DEADLINE + PATIENCE < lease);
        assert!(RENEW_INTERVAL + PATIENCE < RENEW_DEADLINE, "one answer may be lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_stops_at_its_deadline_whether_the_api_server_is_silent_or_refuses() {
        let silent = service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        });
        let refusing = service_fn(async |_: Request<Body>| {
            let refusal = Response::builder().status(500).body(Body::empty()).unwrap();
            Ok::<_, Infallible>(refusal)
        });
        for client in [Client::new(silent, "default"), Client::new(refusing, "default")] {
            let renewed = Instant::now();
            let candidate = Candidate::new(client, "default", "first");
            let mut held = Held { candidate, lease: lease(Some("first"), None), renewed };
            assert!(matches!(held.keep().await, Lost::Late(problem) if !problem.is_empty()));
            let held_on = renewed.elapsed();
            // Timers have a resolution of a millisecond.
            let most = RENEW_DEADLINE + Duration::from_millis(2);
            assert!(held_on >= RENEW_DEADLINE && held_on <= most, "{held_on:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_lost_costs_no_lease() {
        let renewals = Arc::new(AtomicUsize::new(0));
        let asked = renewals.clone();
        let server = service_fn(move |request: Request<Body>| {
            let number = match *request.method() {
                Method::PUT => asked.fetch_add(1, Ordering::Relaxed) + 1,
                _ => 0,
            };
            async move {
                let (code, body) = match number {
                    0 | 3 => (200, serde_json::to_vec(&lease(Some("first"), None)).unwrap()),
                    // It was done the first time, so that the version has changed.
                    2 => (409, json!({"kind": "Status", "code": 409}).to_string().into_bytes()),
                    _ => return std::future::pending().await,
                };
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body)).unwrap())
            }
        });
        let candidate = Candidate::new(Client::new(server, "default"), "default", "first");
        let renewed = Instant::now();
        let mut held = Held { candidate, lease: lease(Some("first"), None), renewed };
        assert!(matches!(held.keep().await, Lost::Late(_)));
        assert!(renewals.load(Ordering::Relaxed) > 3);
        // It was renewed when the lost answer was given up, not before.
        let held_on = renewed.elapsed();
        assert!(held_on > RENEW_INTERVAL + PATIENCE + RENEW_DEADLINE, "{held_on:?}");
    }
}
