//! Connections to nodes and controllers, shared by everything that talks to the same address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use synod_types::ErrorCode;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::discovery::{self, Authorities};
use crate::error::{Error, Result};
use crate::trust::Trust;

/// How long it may take to connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a connection is checked on which nothing is said, and how long the other side may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// A way to a controller, which connects when it is first used and again after it broke. Over TLS it is believed only if
/// its authorities vouch for it: if nobody says which, those that are published for the pods of its cluster.
///
/// # Errors
/// [`ErrorCode::Invalid`] when it is not an address: `host:port` or `http://host:port` for plain text, `https://host:port`;
/// when there are authorities for plain text; or when nobody knows those of TLS.
pub(crate) fn channel_to_controller(address: &str, authorities: Option<Authorities>) -> Result<Channel> {
    if !address.starts_with("https://") {
        if authorities.is_some() {
            let message = format!(
                "\"{address}\" is the address of a controller in plain text, but it is said who vouches for it: use \
                 https://host:port, or do not say it"
            );
            return Err(Error::new(ErrorCode::Invalid, message));
        }
        return channel(address);
    }
    let origin = endpoint(address, address.to_owned(), "https")?.uri().clone();
    let host = origin.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = origin.port_u16().unwrap_or(443);
    let authorities = authorities.map_or_else(|| Authorities::of_host(host), Ok)?;
    // The connection is secured before the transport has it, which is told of nothing that it would have to do.
    let authority = origin.authority().map_or("", |authority| authority.as_str());
    let endpoint = endpoint(address, format!("http://{authority}"), "http")?.origin(origin.clone());
    discovery::channel(endpoint, host, port, authorities)
}

/// A way to a server in plain text, which connects when it is first used and again after it broke.
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
        let message = format!("\"{address}\" is not an address: use {scheme}://host:port");
        Error::new(ErrorCode::Invalid, message)
    };
    let endpoint = Endpoint::from_shared(uri).map_err(wrong)?;
    if endpoint.uri().scheme_str() != Some(scheme) || endpoint.uri().host().is_none_or(str::is_empty) {
        let message = format!("\"{address}\" is not an address that can be used: use {scheme}://host:port");
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

    #[tokio::test]
    async fn who_vouches_for_a_controller_must_be_known_and_only_for_tls() {
        let key = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let given = || Some(Authorities::Given(Trust::authorities(key.cert.pem()).unwrap()));
        for good in ["https://a:1", "https://[::1]:1", "https://a"] {
            channel_to_controller(good, given()).unwrap();
        }
        for (bad, authorities, said) in [
            ("https://a:1", None, "SYNOD_CONTROLLER_CA"),
            ("https://", given(), "use https://host:port"),
            ("http://a:1", given(), "use https://host:port, or do not say it"),
            ("a:1", given(), "use https://host:port, or do not say it"),
        ] {
            let error = channel_to_controller(bad, authorities).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid, "{bad}: {error}");
            assert!(error.message().contains(said), "{bad}: {error}");
        }
    }
}
