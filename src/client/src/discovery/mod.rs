//! Whom to believe to be the controller of a cluster: nobody has to tell a pod.
//!
//! ```text
//!   pod: token, ca.crt ──TLS──► API server: ConfigMap synod-controller-ca ──► authorities
//!                                                                               │
//!   client ───────────TLS, with the token only after the handshake────────► controller
//! ```
//!
//! Invariants:
//! - Who cannot show a certificate of the right authority is told nothing: no token, no question.
//! - The authorities are read when they are needed first, and again when a certificate is of none of them: whoever asks for
//!   a connection again and again asks the API server no more than once in a while.
//!
//! What must not go here: whom to believe to be a replica ([`Trust`]).

mod api_server;
mod secured;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use synod_types::{CONTROLLER_SERVICE, ErrorCode};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use self::api_server::ApiServer;
pub(crate) use self::api_server::POD_DIRECTORY;
pub(crate) use self::secured::channel;
use crate::error::{Error, Result};
use crate::trust::Trust;

/// Who says which authorities vouch for a controller.
#[derive(Clone)]
pub enum Authorities {
    /// The program itself.
    Given(Trust),
    /// The operators of a namespace, in the ConfigMap that the API server has of them.
    Published {
        /// Whom to ask.
        api_server: ApiServer,
        /// The namespace of the operators.
        namespace: String,
    },
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => formatter.write_str("Given"),
            Self::Published { namespace, .. } => formatter.debug_tuple("Published").field(namespace).finish(),
        }
    }
}

impl Authorities {
    /// Those that are published where the controller with this host is, of which a pod knows by itself.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when the host does not say where that is, or this is no pod.
    pub(crate) fn of_host(host: &str) -> Result<Self> {
        let namespace = namespace_of(host).ok_or_else(|| {
            let message = format!(
                "nobody says whom to believe at \"https://{host}\": give the certificates of its authorities \
                 (SYNOD_CONTROLLER_CA, a file in PEM), or use the address of its Service, \
                 https://{CONTROLLER_SERVICE}.NAMESPACE:5679"
            );
            Error::new(ErrorCode::Invalid, message)
        })?;
        Ok(Self::Published { api_server: ApiServer::of_pod()?, namespace: namespace.to_owned() })
    }
}

/// The namespace of a controller, if the host is the name of its Service.
fn namespace_of(host: &str) -> Option<&str> {
    let (service, rest) = host.split_once('.')?;
    let (namespace, domain) = rest.split_once('.').unwrap_or((rest, "svc"));
    let is_service = service == CONTROLLER_SERVICE && (domain == "svc" || domain.starts_with("svc."));
    Some(namespace).filter(|namespace| is_service && !namespace.is_empty())
}

/// How to speak TLS, in an application protocol, with those for whom somebody vouches.
fn tls_config(trust: &Trust, protocol: &[u8]) -> Result<Arc<ClientConfig>> {
    let useless = |problem: &dyn fmt::Display| {
        Error::new(ErrorCode::Invalid, format!("the certificates that are trusted are of no use: {problem}"))
    };
    let pem = trust.ca_pem().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|error| useless(&error))?).map_err(|error| useless(&error))?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| useless(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}
