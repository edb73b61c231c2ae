//! Operators that share a certificate, on an API server in memory, and clients that connect to it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{Method, Request, Response};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::server::TcpIncoming;
use tower::service_fn;

use super::super::certificates::{Authority, Bundle, Pair, SPREAD_SECONDS, Subject as _};
use super::super::health::Readiness;
use super::names::Names;
use super::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3_600;
const NAMESPACE: &str = "synod-system";

/// What an API server holds, by path, and how often it was written to.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(BTreeMap<String, Value>, u64)>>);

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (status, answer) = server.answer(&parts.method, parts.uri.path(), &body);
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(status).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let refusal = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "status": "Failure", "code": code, "message": "", "reason": reason}),
            )
        };
        let mut server = self.0.lock().unwrap();
        let (objects, writes) = &mut *server;
        if method == Method::GET {
            return objects
                .get(path)
                .map_or_else(|| refusal(404, "NotFound"), |object| (200, object.clone()));
        }
        let mut object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = if method == Method::POST { format!("{path}/{name}") } else { path.to_owned() };
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        if objects.get(&path).and_then(version) != version(&object) {
            return refusal(409, "Conflict");
        }
        *writes += 1;
        object["metadata"]["resourceVersion"] = writes.to_string().into();
        objects.insert(path, object.clone());
        (200, object)
    }

    fn path(kind: &str, name: &str) -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/{kind}/{name}")
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.0.lock().unwrap().0[&Self::path(kind, name)].clone()
    }

    fn delete(&self, kind: &str, name: &str) {
        assert!(self.0.lock().unwrap().0.remove(&Self::path(kind, name)).is_some());
    }

    fn writes(&self) -> u64 {
        self.0.lock().unwrap().1
    }

    fn pair(&self) -> Pair {
        let secret: Secret = serde_json::from_value(self.get("secrets", "synod-controller-tls")).unwrap();
        Pair::read(&secret).unwrap()
    }

    fn published(&self) -> String {
        let map: ConfigMap = serde_json::from_value(self.get("configmaps", "synod-controller-ca")).unwrap();
        map.data.unwrap()["ca.crt"].clone()
    }
}

/// One operator, as far as its certificate goes.
struct Operator {
    keeper: Keeper,
    shown: Arc<Shown>,
    acts: Arc<AtomicBool>,
}

impl Operator {
    fn of(server: &Server) -> Self {
        let (shown, acts) = (Arc::new(Shown::default()), Arc::new(AtomicBool::new(false)));
        let readiness = Readiness::default();
        let keeper = Keeper::new(&server.client(), NAMESPACE, shown.clone(), readiness, acts.clone());
        Self { keeper, shown, acts }
    }

    async fn look(&self, now: i64) {
        self.keeper.look(now).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_operator_makes_what_all_use_and_nothing_is_written_twice() {
    let server = Server::default();
    let (first, second) = (Operator::of(&server), Operator::of(&server));
    futures::join!(first.look(NOW), second.look(NOW));
    assert_eq!(server.writes(), 3, "two Secrets and a ConfigMap, although both saw nothing");
    let pair = server.pair();
    pair.check(&Names::of(NAMESPACE), NOW).unwrap();
    assert_eq!(server.published(), pair.ca);
    first.acts.store(true, Ordering::Relaxed);
    for operator in [&first, &second, &Operator::of(&server)] {
        operator.look(NOW + DAY).await;
    }
    assert_eq!(server.writes(), 3);
}

#[tokio::test]
async fn over_years_whoever_has_read_what_was_published_believes_what_is_shown() {
    let server = Server::default();
    let (acting, standby) = (Operator::of(&server), Operator::of(&server));
    acting.acts.store(true, Ordering::Relaxed);
    let (mut published, mut certificates) = (Vec::new(), Vec::new());
    let mut now = NOW;
    while now < NOW + 800 * DAY {
        // Nothing is renewed by the one that does not act.
        let writes = server.writes();
        if writes > 0 {
            standby.look(now).await;
        }
        assert_eq!(server.writes(), writes);
        acting.look(now).await;
        let pair = server.pair();
        if server.writes() > writes {
            published.push((now, server.published()));
            certificates.push(pair.certificate.clone());
        }
        // A client that has asked the API server not long ago.
        let known = published.iter().rposition(|(at, _)| *at <= now - SPREAD_SECONDS).unwrap_or(0);
        for (_, ca) in &published[known..] {
            let seen = Pair { ca: ca.clone(), ..pair.clone() };
            seen.check(&Names::of(NAMESPACE), now).unwrap();
        }
        let is_fresh = published.last().is_some_and(|(at, _)| now - at < 3 * SPREAD_SECONDS);
        now += if is_fresh { SPREAD_SECONDS / 3 } else { 3 * DAY };
    }
    certificates.sort();
    certificates.dedup();
    assert!((12..=18).contains(&certificates.len()), "{} certificates", certificates.len());
    assert!(Bundle::of(&server.published()) == Bundle::of(&server.pair().ca));
}

#[tokio::test]
async fn what_is_lost_or_damaged_is_made_again() {
    let server = Server::default();
    let operator = Operator::of(&server);
    operator.acts.store(true, Ordering::Relaxed);
    operator.look(NOW).await;
    let before = server.pair();

    server.delete("configmaps", "synod-controller-ca");
    operator.look(NOW).await;
    assert_eq!(server.published(), before.ca);

    server.delete("secrets", "synod-controller-tls");
    operator.look(NOW).await;
    let after = server.pair();
    assert!(after.certificate != before.certificate && after.ca == before.ca, "the authority is the same");

    let mut damaged = server.get("secrets", "synod-controller-tls");
    damaged["data"]["tls.key"] = "cnViYmlzaA==".into();
    let path = Server::path("secrets", "synod-controller-tls");
    assert_eq!(server.answer(&Method::PUT, &path, damaged.to_string().as_bytes()).0, 200);
    operator.look(NOW).await;
    server.pair().check(&Names::of(NAMESPACE), NOW).unwrap();

    server.delete("secrets", "synod-controller-authority");
    operator.look(NOW).await;
    assert_eq!(server.published(), server.pair().ca);
    assert!(server.published().starts_with(&before.ca), "the old one is trusted until the new one is known");
}

#[test]
fn a_certificate_names_all_by_which_the_service_is_reached() {
    let authority = Authority::make("controller", NOW).unwrap();
    let pair = authority.issue(&Names::of(NAMESPACE), NOW).unwrap();
    pair.check(&Names::of(NAMESPACE), NOW).unwrap();
    let refused = pair.check(&Names::of("other"), NOW).unwrap_err();
    assert!(refused.contains("the DNS name synod-controller.other, nor 2 more"), "{refused}");
    assert!(
        Names::of(NAMESPACE).dns().contains(&"synod-controller.synod-system.svc.cluster.local".to_owned())
    );
}

/// Accepts connections with what `shown` has, and does nothing with them.
async fn listen(shown: &Arc<Shown>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = accept(TcpIncoming::from(listener), config(shown.clone()).unwrap());
    tokio::spawn(futures::StreamExt::for_each(connections, |secured| async move {
        secured.unwrap();
    }));
    address
}

/// What the server at an address shows to a client that believes an authority.
async fn seen(address: SocketAddr, ca: &str) -> std::io::Result<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("synod-controller.synod-system").unwrap();
    let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(secured.get_ref().1.peer_certificates().unwrap()[0].clone())
}

#[tokio::test]
async fn a_certificate_is_replaced_while_clients_come_and_who_says_nothing_keeps_nobody_waiting() {
    let server = Server::default();
    let operator = Operator::of(&server);
    let address = listen(&operator.shown).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let now = k8s_openapi::jiff::Timestamp::now().as_second();
    let nobody = Authority::make("nobody", now).unwrap().certificate;
    seen(address, &nobody).await.unwrap_err();

    operator.look(now).await;
    let first = seen(address, &server.published()).await.unwrap();
    seen(address, &nobody).await.unwrap_err();
    server.delete("secrets", "synod-controller-tls");
    operator.look(now).await;
    let second = seen(address, &server.published()).await.unwrap();
    assert_ne!(first, second);
}
