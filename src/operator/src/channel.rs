//! Channels to nodes, in plain text or to those only for whom somebody vouches.

use std::time::Duration;

use synod_types::{Error, ErrorCode};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// How long a node has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Whom to believe to be a node.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Who signs the certificates of nodes, in PEM.
    pub(crate) ca_pem: String,
    /// What the node's certificate must be for; the host of the address if nothing is said.
    pub(crate) host: Option<String>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Trust").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The node at a host:port, in plain text if nobody is to be trusted.
///
/// # Errors
/// [`ErrorCode::Invalid`] when the address is none, or whom to trust cannot be read.
pub(crate) fn endpoint(address: &str, trust: Option<&Trust>) -> Result<Endpoint, Error> {
    let wrong = |error: tonic::transport::Error| {
        Error::new(ErrorCode::Invalid, format!("\"{address}\" is not a host:port that can be used: {error}"))
    };
    let scheme = if trust.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(wrong)?;
    if let Some(Trust { ca_pem, host }) = trust {
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
        if let Some(host) = host {
            config = config.domain_name(host);
        }
        endpoint = endpoint.tls_config(config).map_err(wrong)?;
    }
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}
