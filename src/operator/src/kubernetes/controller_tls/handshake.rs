//! The connections of clients, each after its handshake.
//!
//! Handshakes are bounded in time and in number, and happen beside the loop that takes connections in: whoever connects
//! and says nothing keeps nobody else waiting.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::TcpIncoming;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many may be under way; whoever comes then waits in the system's queue.
const UNDER_WAY_MAX: usize = 1_024;

/// The certificate that clients are shown. It can be replaced at any time; whoever is connected does not notice.
#[derive(Debug, Default)]
pub(in super::super) struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl Shown {
    /// Shows another one from now on. Returns whether it is another one.
    pub(super) fn show(&self, key: CertifiedKey) -> bool {
        let mut shown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref().is_some_and(|shown| shown.cert == key.cert) {
            return false;
        }
        *shown = Some(Arc::new(key));
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How to speak TLS with clients.
///
/// # Errors
/// When the cryptography at hand speaks no version of it.
pub(in super::super) fn config(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, tokio_rustls::rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Connections without end, each after its handshake. Those who fail in it are left out.
pub(in super::super) fn accept(
    incoming: TcpIncoming,
    config: Arc<ServerConfig>,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let acceptor = TlsAcceptor::from(config);
    futures::stream::unfold((incoming, FuturesUnordered::new()), move |(mut incoming, mut under_way)| {
        let acceptor = acceptor.clone();
        async move {
            loop {
                tokio::select! {
                    connection = incoming.next(), if under_way.len() < UNDER_WAY_MAX => match connection? {
                        Ok(connection) => under_way.push(handshake(acceptor.clone(), connection)),
                        Err(error) => return Some((Err(error), (incoming, under_way))),
                    },
                    Some(secured) = under_way.next(), if !under_way.is_empty() => {
                        if let Some(secured) = secured {
                            return Some((Ok(secured), (incoming, under_way)));
                        }
                    }
                }
            }
        }
    })
}

async fn handshake(acceptor: TlsAcceptor, connection: TcpStream) -> Option<TlsStream<TcpStream>> {
    let from = connection.peer_addr().ok();
    let problem = match timeout(PATIENCE, acceptor.accept(connection)).await {
        Ok(Ok(secured)) => return Some(secured),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no handshake in time".to_owned(),
    };
    tracing::debug!(?from, problem, "a client does not come to speak TLS");
    None
}
