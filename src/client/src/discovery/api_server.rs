//! The API server of a cluster, as a pod reaches it: asked for one ConfigMap.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use synod_types::{CONTROLLER_CA_CONFIG_MAP, CONTROLLER_CA_KEY, CONTROLLER_SERVICE, ErrorCode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls_config;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::trust::Trust;

/// Where Kubernetes puts what a pod is given: its namespace, the token of its account, and who vouches for the API server.
pub(crate) const POD_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long the API server has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of an answer: a ConfigMap has a megabyte at most, and text grows in JSON.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The API server of a cluster, with an account there.
#[derive(Clone, Debug)]
pub struct ApiServer {
    host: String,
    port: u16,
    directory: PathBuf,
}

/// What is of interest in a ConfigMap.
#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// What is of interest in a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl ApiServer {
    /// One at a host, an IP address for example, with what a pod is given in `directory`: `token`, which is read anew for
    /// each question, and `ca.crt`.
    pub fn new(host: impl Into<String>, port: u16, directory: impl Into<PathBuf>) -> Self {
        Self { host: host.into(), port, directory: directory.into() }
    }

    /// That of the cluster in which this pod runs.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] where Kubernetes has not said where it is.
    pub fn of_pod() -> Result<Self> {
        Self::said(|name| env::var(name).ok())
    }

    fn said(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let host = variable("KUBERNETES_SERVICE_HOST").filter(|host| !host.is_empty());
        let port = variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok());
        let (host, port) = host.zip(port).ok_or_else(|| {
            let message = "this is no pod, in which KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say where the API \
                           server is, which knows whom to believe to be the controller: give the certificates of its \
                           authorities (SYNOD_CONTROLLER_CA, a file in PEM)";
            Error::new(ErrorCode::Invalid, message)
        })?;
        Ok(Self::new(host, port, POD_DIRECTORY))
    }

    /// Who vouches for the controller whose operators are in a namespace.
    ///
    /// # Errors
    /// Why that is not known, and what to do.
    pub(super) async fn authorities(&self, namespace: &str) -> Result<Trust> {
        let asked = timeout(PATIENCE, self.ask(namespace)).await;
        let answer = asked.unwrap_or_else(|_| Err(self.unreachable(&"it does not answer in time")));
        let (status, body) = answer?;
        let what = format!("ConfigMap \"{CONTROLLER_CA_CONFIG_MAP}\" of namespace \"{namespace}\"");
        if status != StatusCode::OK {
            return Err(refused(status, &body, &what, namespace));
        }
        let broken = |problem: String| Error::new(ErrorCode::Unavailable, format!("{what}: {problem}"));
        let config_map: ConfigMap =
            serde_json::from_slice(&body).map_err(|error| broken(format!("the answer is none: {error}")))?;
        let pem = config_map.data.get(CONTROLLER_CA_KEY);
        let pem = pem.ok_or_else(|| broken(format!("it has no \"{CONTROLLER_CA_KEY}\"")))?;
        Trust::authorities(pem.as_str()).map_err(|error| broken(error.message().to_owned()))
    }

    async fn ask(&self, namespace: &str) -> Result<(StatusCode, Bytes)> {
        let unreachable = |problem: &dyn std::fmt::Display| self.unreachable(problem);
        let token = Credentials::TokenFile(self.directory.join("token")).header()?;
        let ca = std::fs::read_to_string(self.directory.join("ca.crt"))
            .map_err(|error| unreachable(&format!("who vouches for it cannot be read: {error}")))?;
        let config = tls_config(&Trust::authorities(ca)?, b"http/1.1")?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| unreachable(&error))?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| unreachable(&error))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        let mut request =
            Request::get(format!("/api/v1/namespaces/{namespace}/configmaps/{CONTROLLER_CA_CONFIG_MAP}"))
                .header(HOST, self.authority())
                .header(ACCEPT, "application/json")
                .header(USER_AGENT, concat!("synod-client/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.as_bytes()).map_err(|error| unreachable(&error))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| unreachable(&error))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| unreachable(&error))?.to_bytes()))
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            answer = &mut answer => answer,
            // What has come before the end of the connection is an answer still.
            _ = &mut connection => answer.await,
        }
    }

    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    fn unreachable(&self, problem: &dyn std::fmt::Display) -> Error {
        let at = self.authority();
        let message =
            format!("the API server at {at} cannot be asked whom to believe to be the controller: {problem}");
        Error::new(ErrorCode::Unavailable, message)
    }
}

/// What the API server has refused, and what to do.
fn refused(status: StatusCode, body: &[u8], what: &str, namespace: &str) -> Error {
    let said: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let said = if said.message.is_empty() { status.to_string() } else { said.message };
    let problem = match status {
        StatusCode::NOT_FOUND => format!(
            "{what} is not there, which says whom to believe to be the controller: wait for the operator to make it; if the \
             operator is in another namespace, set SYNOD_CONTROLLER=https://{CONTROLLER_SERVICE}.NAMESPACE:5679; if it is \
             told to speak plain text, http://{CONTROLLER_SERVICE}.{namespace}:5679"
        ),
        StatusCode::FORBIDDEN => format!(
            "{what} may not be read by this account: let it with `kubectl create rolebinding {CONTROLLER_CA_CONFIG_MAP} \
             --role={CONTROLLER_CA_CONFIG_MAP} --group=system:serviceaccounts --namespace={namespace}` ({said})"
        ),
        StatusCode::UNAUTHORIZED => {
            format!("{what}: the API server does not accept the token of this account ({said})")
        }
        _ => format!("{what} cannot be read: {said}"),
    };
    Error::new(ErrorCode::Unavailable, problem)
}
