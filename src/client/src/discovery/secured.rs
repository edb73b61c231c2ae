//! Connections to a controller that has to show who it is.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use synod_types::{ErrorCode, Monotonic};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use tonic::transport::{Channel, Endpoint, Uri};

use super::{Authorities, tls_config};
use crate::clock;
use crate::error::{Error, Result};
use crate::trust::Trust;

/// How often the API server is asked at most.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a controller has to accept a connection and to show who it is.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to connect, with all that may have to be asked before.
const PATIENCE: Duration = Duration::from_secs(10);

/// A way to the controller at a host and port, by `endpoint`, which says all but how to connect. It connects when it is
/// first used, and again after it broke.
///
/// # Errors
/// [`ErrorCode::Invalid`] when the host is none, or the authorities that are given are of no use.
pub(crate) fn channel(
    endpoint: Endpoint,
    host: &str,
    port: u16,
    authorities: Authorities,
) -> Result<Channel> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Error::new(ErrorCode::Invalid, format!("\"{host}\" is no host: {error}")))?;
    let known = match &authorities {
        Authorities::Given(trust) => {
            Known { trust: None, config: Some(tls_config(trust, b"h2")?), asked: None }
        }
        Authorities::Published { .. } => Known::default(),
    };
    let known = Mutex::new(known);
    let connector = Arc::new(Connector { host: host.to_owned(), port, name, authorities, known });
    let connect = tower::service_fn(move |_: Uri| {
        let connector = connector.clone();
        async move { connector.connect().await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_timeout(PATIENCE).connect_with_connector_lazy(connect))
}

/// Connects to one controller.
struct Connector {
    host: String,
    port: u16,
    name: ServerName<'static>,
    authorities: Authorities,
    known: Mutex<Known>,
}

/// Who is believed, as far as it is known.
#[derive(Default)]
struct Known {
    trust: Option<Trust>,
    config: Option<Arc<ClientConfig>>,
    /// When the API server was asked last, and what has come of it.
    asked: Option<(Monotonic, Result<()>)>,
}

/// Why there is no connection.
enum Failure {
    /// The certificate is not one to be believed.
    Disbelieved(Error),
    Other(Error),
}

impl Connector {
    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let mut known = self.known.lock().await;
        let config = match &known.config {
            Some(config) => config.clone(),
            None => self.ask(&mut known).await?.ok_or_else(|| self.failed("nobody is to be believed"))?,
        };
        match self.secure(config).await {
            Ok(stream) => Ok(stream),
            Err(Failure::Other(error)) => Err(error),
            // It may be one of an authority that is newer than what is known.
            Err(Failure::Disbelieved(error)) => match self.ask(&mut known).await? {
                Some(config) => self.secure(config).await.map_err(|failure| match failure {
                    Failure::Disbelieved(error) | Failure::Other(error) => error,
                }),
                None => Err(error),
            },
        }
    }

    /// Asks the API server again, unless that was just done. Returns what is new; nothing, if that is nothing.
    async fn ask(&self, known: &mut Known) -> Result<Option<Arc<ClientConfig>>> {
        let Authorities::Published { api_server, namespace } = &self.authorities else { return Ok(None) };
        let now = clock::now();
        if let Some((at, outcome)) = &known.asked
            && now.since(*at) < ASK_INTERVAL
        {
            return outcome.clone().map(|()| None);
        }
        let asked = api_server.authorities(namespace).await;
        known.asked = Some((now, asked.as_ref().map(|_| ()).map_err(Clone::clone)));
        let trust = asked?;
        if known.trust.as_ref() == Some(&trust) {
            return Ok(None);
        }
        let config = tls_config(&trust, b"h2")?;
        known.trust = Some(trust);
        known.config = Some(config.clone());
        Ok(Some(config))
    }

    async fn secure(&self, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Failure> {
        let connected = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config).connect(self.name.clone(), stream).await
        };
        match timeout(HANDSHAKE_PATIENCE, connected).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.judge(&error)),
            Err(_) => Err(Failure::Other(self.failed("it does not answer in time"))),
        }
    }

    fn judge(&self, error: &std::io::Error) -> Failure {
        let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match of_tls {
            Some(rustls::Error::InvalidCertificate(_)) => Failure::Disbelieved(
                self.failed(&format!("its certificate is not believed, so it was told nothing: {error}")),
            ),
            Some(rustls::Error::InvalidMessage(_)) => Failure::Other(self.failed(&format!(
                "it does not speak TLS ({error}): if it is told to speak plain text, say http://{}:{}",
                self.host, self.port
            ))),
            _ => Failure::Other(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, problem: &str) -> Error {
        let Self { host, port, .. } = self;
        Error::new(ErrorCode::Unavailable, format!("the one at https://{host}:{port}: {problem}"))
    }
}
