//! An API server and controllers that speak TLS, on real sockets, and who else may answer in their place.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use synod_proto::controller::v1 as wire;
use synod_proto::controller::v1::controller_server::ControllerServer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::*;
use crate::controller::Controller;
use crate::credentials::Credentials;
use crate::tests::cluster::until;
use crate::tests::resolving::Told;

const NAMESPACE: &str = "synod-system";

type Seen = Arc<Mutex<Vec<String>>>;

/// Signs certificates for 127.0.0.1.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate, and its key.
    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A controller that ends, with its connections, when it is not needed any more.
struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An API server that has one answer, and what a pod is given to ask it.
struct Cluster {
    address: SocketAddr,
    pod: TempDir,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Seen,
}

impl Cluster {
    async fn start() -> Self {
        let authority = Authority::new();
        let pod = tempfile::tempdir().unwrap();
        std::fs::write(pod.path().join("token"), "of-the-pod\n").unwrap();
        std::fs::write(pod.path().join("ca.crt"), authority.pem()).unwrap();
        let (certificate, key) = authority.issue();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (answer, asked) = (Arc::new(Mutex::new((404, "{}".to_owned()))), Seen::default());
        let listener = TcpListener::bind(any()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(answer_all(listener, acceptor, answer.clone(), asked.clone()));
        Self { address, pod, answer, asked }
    }

    fn answers(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn publishes(&self, authority: &Authority) {
        self.answers(
            200,
            serde_json::json!({"kind": "ConfigMap", "data": {"ca.crt": authority.pem()}}).to_string(),
        );
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A client in a pod, which is told nothing but where the controller is.
    fn client(&self, controller: SocketAddr) -> Controller {
        let api_server = ApiServer::new("127.0.0.1", self.address.port(), self.pod.path());
        let authorities = Authorities::Published { api_server, namespace: NAMESPACE.to_owned() };
        let credentials = Credentials::Token("of-the-client".to_owned());
        Controller::trusting(authorities, &format!("https://{controller}"), credentials).unwrap()
    }
}

async fn answer_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Seen,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => break,
            }
        }
        asked.lock().unwrap().push(String::from_utf8(request).unwrap());
        let (status, body) = answer.lock().unwrap().clone();
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// A controller with one group, which notes the tokens that it is sent.
async fn controller(address: SocketAddr, authority: Option<&Authority>, tokens: &Seen) -> Running {
    let group = wire::Group { namespace: "default".into(), name: "sample".into(), ..Default::default() };
    // It never changes.
    let groups = watch::channel(vec![group]).1;
    let tokens = tokens.clone();
    let service = ControllerServer::with_interceptor(Told { groups }, move |request: tonic::Request<()>| {
        let token = request.metadata().get("authorization").unwrap().to_str().unwrap();
        tokens.lock().unwrap().push(token.to_owned());
        Ok(request)
    });
    let mut server = Server::builder();
    if let Some(authority) = authority {
        let (certificate, key) = authority.issue();
        let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    }
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = TcpListenerStream::new(listener);
    let serving = server.add_service(service).serve_with_incoming_shutdown(incoming, async {
        // It is dropped, not sent.
        let _ = stopped.await;
    });
    tokio::spawn(async move { serving.await.unwrap() });
    Running { address, _stop: stop }
}

async fn find(client: &Controller) -> Result<String> {
    client.group("default", "sample").await.map(|group| group.name)
}

#[tokio::test]
async fn a_pod_that_is_told_nothing_believes_whom_its_api_server_names() {
    let (cluster, authority, tokens) = (Cluster::start().await, Authority::new(), Seen::default());
    let serving = controller(any(), Some(&authority), &tokens).await;
    cluster.publishes(&authority);
    let client = cluster.client(serving.address);
    for _ in 0..3 {
        assert_eq!(find(&client).await, Ok("sample".to_owned()));
    }
    assert_eq!(*tokens.lock().unwrap(), ["Bearer of-the-client"; 3]);
    let asked = cluster.asked();
    let [asked] = asked.as_slice() else { panic!("it is asked once: {asked:?}") };
    assert!(
        asked.starts_with("GET /api/v1/namespaces/synod-system/configmaps/synod-controller-ca HTTP/1.1\r\n")
    );
    assert!(asked.contains("authorization: Bearer of-the-pod\r\n"), "{asked}");
}

#[tokio::test]
async fn an_authority_that_is_replaced_is_read_again_and_the_api_server_is_not_bothered() {
    let (cluster, old, new) = (Cluster::start().await, Authority::new(), Authority::new());
    let tokens = Seen::default();
    let serving = controller(any(), Some(&old), &tokens).await;
    let address = serving.address;
    cluster.publishes(&old);
    let client = cluster.client(address);
    find(&client).await.unwrap();
    drop(serving);
    let _serving = until("the port is free again", async || {
        TcpListener::bind(address).await.ok().map(drop)?;
        Some(controller(address, Some(&new), &tokens).await)
    })
    .await;
    // The certificate is there a little before it is said who vouches for it.
    let error = until("the old connection is lost", async || find(&client).await.err()).await;
    assert!(error.is_retryable(), "{error}");
    cluster.publishes(&new);
    let begun = std::time::Instant::now();
    let mut attempts = 0;
    until("the new authority is known", async || {
        attempts += 1;
        find(&client).await.ok()
    })
    .await;
    assert_eq!(*tokens.lock().unwrap(), ["Bearer of-the-client"; 2], "only those who are believed see it");
    let asked = u64::try_from(cluster.asked().len()).unwrap();
    assert!(asked <= 3 + begun.elapsed().as_secs() / 2, "{asked} questions for {attempts} attempts");
}

#[tokio::test]
async fn who_is_not_believed_is_told_nothing() {
    let (cluster, authority) = (Cluster::start().await, Authority::new());
    cluster.publishes(&authority);
    let tokens = Seen::default();
    let impostor = controller(any(), Some(&Authority::new()), &tokens).await;
    let client = cluster.client(impostor.address);
    for _ in 0..20 {
        let error = find(&client).await.unwrap_err();
        assert!(
            error.message().contains("its certificate is not believed, so it was told nothing"),
            "{error}"
        );
    }
    assert!(cluster.asked().len() <= 3, "not for each attempt: {}", cluster.asked().len());

    let plain = controller(any(), None, &tokens).await;
    let error = find(&cluster.client(plain.address)).await.unwrap_err();
    assert!(error.message().contains(&format!("say http://{}", plain.address)), "{error}");
    assert_eq!(*tokens.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn who_is_not_the_api_server_is_asked_nothing() {
    let (cluster, authority, tokens) = (Cluster::start().await, Authority::new(), Seen::default());
    cluster.publishes(&authority);
    let serving = controller(any(), Some(&authority), &tokens).await;
    std::fs::write(cluster.pod.path().join("ca.crt"), Authority::new().pem()).unwrap();
    let error = find(&cluster.client(serving.address)).await.unwrap_err();
    assert!(error.message().contains("cannot be asked whom to believe"), "{error}");
    std::fs::remove_file(cluster.pod.path().join("token")).unwrap();
    let error = find(&cluster.client(serving.address)).await.unwrap_err();
    assert!(error.message().contains("token"), "{error}");
    assert_eq!((cluster.asked().len(), tokens.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn what_the_api_server_refuses_says_what_to_do() {
    let cluster = Cluster::start().await;
    let refusal = r#"{"kind": "Status", "message": "no way"}"#;
    for (status, body, said) in [
        (404, refusal, "wait for the operator to make it"),
        (403, refusal, "`kubectl create rolebinding synod-controller-ca --role=synod-controller-ca"),
        (403, "no JSON", "403"),
        (401, refusal, "does not accept the token of this account (no way)"),
        (500, refusal, "cannot be read: no way"),
        (200, "no JSON", "the answer is none"),
        (200, r#"{"data": {}}"#, "it has no \"ca.crt\""),
        (200, r#"{"data": {"ca.crt": "rubbish"}}"#, "give certificates in PEM"),
    ] {
        cluster.answers(status, body);
        let error = find(&cluster.client(any())).await.unwrap_err();
        assert!(error.message().contains(said), "{status} {body}: {error}");
        assert!(error.is_retryable(), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_program_may_name_the_authorities_itself() {
    let (authority, tokens) = (Authority::new(), Seen::default());
    let serving = controller(any(), Some(&authority), &tokens).await;
    let trusting = |authority: &Authority| {
        let authorities = Authorities::Given(Trust::authorities(authority.pem()).unwrap());
        let credentials = Credentials::Token("of-the-client".to_owned());
        Controller::trusting(authorities, &format!("https://{}", serving.address), credentials).unwrap()
    };
    assert_eq!(find(&trusting(&authority)).await, Ok("sample".to_owned()));
    find(&trusting(&Authority::new())).await.unwrap_err();
    assert_eq!(tokens.lock().unwrap().len(), 1);
}

#[test]
fn the_host_says_in_which_namespace_the_operators_are() {
    for (host, namespace) in [
        ("synod-controller.synod-system", Some("synod-system")),
        ("synod-controller.other.svc", Some("other")),
        ("synod-controller.other.svc.cluster.local", Some("other")),
        ("synod-controller.example.org", None),
        ("synod-controller.", None),
        ("synod-controller", None),
        ("else.synod-system.svc", None),
        ("10.0.0.1", None),
        ("localhost", None),
    ] {
        assert_eq!(namespace_of(host), namespace, "{host}");
    }
}
