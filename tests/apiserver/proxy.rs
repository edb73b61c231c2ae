//! What stands between an operator and the API server: it sees each request, and decides what becomes of it.
//!
//! ```text
//!   operator ──HTTP──► Proxy ──► rule: what becomes of it? ──► API server, with the rights of an operator
//!                        │
//!                        └── traffic: each request, when it came, and the answer
//! ```
//!
//! What must not go here: what to expect of an operator.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control_plane::ControlPlane;
use crate::simulation::client;

/// A request, as far as rules look at it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// The answer, once there is one.
    pub(crate) answer: Option<StatusCode>,
}

impl Asked {
    pub(crate) fn writes(&self) -> bool {
        self.method != Method::GET
    }

    pub(crate) fn watches(&self) -> bool {
        self.query.split('&').any(|parameter| parameter == "watch=true")
    }

    /// Whether it asks for all objects of a kind: neither for the next page of them, nor for those that tell of one object.
    pub(crate) fn lists(&self) -> bool {
        let has = |query: &str, parameter: &str| query.contains(&format!("{parameter}="));
        let is_first =
            |query: &str| has(query, "limit") && !has(query, "continue") && !has(query, "fieldSelector");
        self.method == Method::GET && !self.watches() && is_first(&self.query)
    }

    /// Whether it is about who may act, not about what is done.
    pub(crate) fn is_about_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.answer.is_some_and(|answer| answer.is_success())
    }
}

/// What becomes of a request.
pub(crate) enum Fate {
    /// It is passed on.
    Pass,
    /// It is passed on, and this is done before the answer is.
    PassThen(Box<dyn FnOnce() + Send>),
    /// It is passed on with another query.
    PassAs(String),
    /// It is not passed on; the answer is an error.
    Refuse(StatusCode),
    /// A watch: its position is too old.
    Expired,
    /// Nobody hears of it, and there is no answer.
    Silence,
}

type Rule = dyn Fn(Asked) -> BoxFuture<'static, Fate> + Send + Sync;

/// Serves one operator, as long as the runtime runs on which it was started.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// How the operator reaches it.
    pub(crate) kubeconfig: PathBuf,
}

struct Shared {
    server: Client,
    rule: Mutex<Arc<Rule>>,
    traffic: Mutex<Vec<Asked>>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Begins to serve an operator of this name. Everything is passed on.
    pub(crate) async fn start(plane: &ControlPlane, name: &str) -> Self {
        let shared = Arc::new(Shared {
            server: client(&plane.kubeconfig("operator")).await,
            rule: Mutex::new(Arc::new(|_| futures::future::ready(Fate::Pass).boxed())),
            traffic: Mutex::default(),
            cuts: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, service).await });
        let kubeconfig = plane.write_kubeconfig(&format!("proxy-of-{name}"), "nobody", &url);
        Self { shared, kubeconfig }
    }

    /// From now on this decides.
    pub(crate) fn rule(&self, rule: impl Fn(Asked) -> BoxFuture<'static, Fate> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Arc::new(rule);
    }

    /// The same, for what needs no time to decide.
    pub(crate) fn decide(&self, decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) {
        self.rule(move |asked| futures::future::ready(decide(&asked)).boxed());
    }

    /// All watches end in the middle of what they say.
    pub(crate) fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// What was asked since the beginning.
    pub(crate) fn traffic(&self) -> Vec<Asked> {
        self.shared.traffic.lock().unwrap().clone()
    }

    /// What was asked from some moment on, if it is of interest.
    pub(crate) fn asked_since(&self, since: Instant, is_of_interest: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let is_new = |asked: &Asked| asked.at >= since && is_of_interest(asked);
        self.traffic().into_iter().filter(is_new).collect()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let asked = Asked {
        at: Instant::now(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        answer: None,
    };
    let number = shared.note(asked.clone());
    let cuts = shared.cuts.subscribe();
    let rule = shared.rule.lock().unwrap().clone();
    let fate = rule(asked.clone()).await;
    let answer = match fate {
        Fate::Pass => shared.pass(request, &asked.query).await,
        Fate::PassAs(query) => shared.pass(request, &query).await,
        Fate::PassThen(then) => {
            let answer = shared.pass(request, &asked.query).await;
            then();
            answer
        }
        Fate::Refuse(code) => refusal(code),
        Fate::Expired => expired(),
        Fate::Silence => futures::future::pending().await,
    };
    shared.answered(number, answer.status());
    if asked.watches() { cuttable(answer, cuts) } else { answer }
}

impl Shared {
    fn note(&self, asked: Asked) -> usize {
        let mut traffic = self.traffic.lock().unwrap();
        traffic.push(asked);
        traffic.len() - 1
    }

    fn answered(&self, number: usize, answer: StatusCode) {
        self.traffic.lock().unwrap()[number].answer = Some(answer);
    }

    async fn pass(&self, request: axum::extract::Request, query: &str) -> Response {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path();
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        head.uri = Uri::try_from(uri).unwrap();
        for header in [header::HOST, header::AUTHORIZATION, header::CONNECTION] {
            head.headers.remove(header);
        }
        let Ok(body) = to_bytes(body, usize::MAX).await else { return refusal(StatusCode::BAD_REQUEST) };
        match self.server.send(axum::http::Request::from_parts(head, body.into())).await {
            Ok(answer) => answer.map(Body::new),
            Err(_) => refusal(StatusCode::BAD_GATEWAY),
        }
    }
}

/// An answer as an API server gives it when it cannot do what it should.
fn refusal(code: StatusCode) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], status(code).to_string()).into_response()
}

fn status(code: StatusCode) -> serde_json::Value {
    let message = "the proxy refuses";
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code.as_u16()})
}

/// What a watch is told that is to begin where nobody remembers any more: an event, as the API server does it.
fn expired() -> Response {
    let mut event = json!({"type": "ERROR", "object": status(StatusCode::GONE)});
    event["object"]["reason"] = json!("Expired");
    ([(header::CONTENT_TYPE, "application/json")], format!("{event}\n")).into_response()
}

/// An answer that goes on for long, and breaks off when watches are cut.
fn cuttable(answer: Response, mut cuts: watch::Receiver<u64>) -> Response {
    let seen = cuts.clone();
    let cut = async move { drop(cuts.changed().await) };
    let broken = stream::once(async move { seen.has_changed() }).filter_map(async |is_cut| {
        let reset = || axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        is_cut.is_ok_and(|is_cut| is_cut).then(|| Err(reset()))
    });
    answer.map(|body| Body::from_stream(body.into_data_stream().take_until(cut).chain(broken)))
}
