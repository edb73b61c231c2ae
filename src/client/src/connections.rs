//! Connections to nodes and controllers, shared by everything that talks to the same address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use synod_types::ErrorCode;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::error::{Error, Result};
use crate::trust::Trust;

/// How long it may take to connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a connection is checked on which nothing is said, and how long the other side may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// A way to a controller, which connects when it is first used and again after it broke.
///
/// # Errors
/// [`ErrorCode::Invalid`] when it is not an address: `host:port`, `http://host:port`.
pub(crate) fn channel(address: &str) -> Result<Channel> {
    let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Ok(endpoint(address, uri, "http")?.connect_lazy())
}

/// The same to a replica at host:port.
pub(crate) fn channel_to_replica(address: &str, trust: &Trust) -> Result<Channel> {
    let Some(ca) = trust.ca_pem() else { return channel(address) };
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let endpoint = endpoint(address, format!("https://{address}"), "https")?;
    let endpoint = endpoint.tls_config(config).map_err(|error| {
        Error::new(ErrorCode::Invalid, format!("the certificates that are trusted are of no use: {error}"))
    })?;
    Ok(endpoint.connect_lazy())
}

fn endpoint(address: &str, uri: String, scheme: &str) -> Result<Endpoint> {
    let wrong = |_| {
        let message = format!("\"{address}\" is not an address: use http://host:port");
        Error::new(ErrorCode::Invalid, message)
    };
    let endpoint = Endpoint::from_shared(uri).map_err(wrong)?;
    if endpoint.uri().scheme_str() != Some(scheme) || endpoint.uri().host().is_none_or(str::is_empty) {
        let message = format!("\"{address}\" is not an address that can be used: use http://host:port");
        return Err(Error::new(ErrorCode::Invalid, message));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .keep_alive_while_idle(true))
}

/// The connections of a client to replicas, by address.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    channels: Mutex<HashMap<String, (Trust, Channel)>>,
}

impl Connections {
    /// The connection to an address, if who answers there is trusted.
    pub(crate) fn to(&self, address: &str, trust: &Trust) -> Result<Channel> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = channels.get(address).filter(|(known, _)| known == trust) {
            return Ok(channel.clone());
        }
        let channel = channel_to_replica(address, trust)?;
        channels.insert(address.to_owned(), (trust.clone(), channel.clone()));
        Ok(channel)
    }

    /// The connection to an address failed: the next one is a new one.
    pub(crate) fn forget(&self, address: &str) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_may_leave_the_scheme_out() {
        for good in ["127.0.0.1:5678", "http://127.0.0.1:5678", "node-0.default.svc:5678", "[::1]:5678"] {
            channel(good).unwrap();
        }
        for bad in ["", "a b", "http://", "ftp://a:1", "https://a:1"] {
            let error = channel(bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid, "{bad}: {error}");
        }
    }
}
