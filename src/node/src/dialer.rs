//! Connections to other nodes, as members of the same partition where certificates are given.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint, Error};

use crate::tls::{Tls, dial};

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Connects to other nodes.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    tls: Option<Arc<Tls>>,
}

impl Dialer {
    pub(crate) const fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls }
    }

    /// A channel to the node at a host:port, connected. One that breaks is of no more use.
    pub(crate) async fn connect(&self, address: &str) -> Result<Channel, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(3))
            .keep_alive_while_idle(true);
        let Some(tls) = self.tls.clone() else { return endpoint.connect().await };
        let connector = tower::service_fn(move |uri: Uri| {
            let tls = tls.clone();
            async move {
                let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
                let port = uri.port_u16().ok_or(io::ErrorKind::InvalidInput)?;
                dial(&tls, host, port).await.map(TokioIo::new)
            }
        });
        endpoint.connect_with_connector(connector).await
    }
}

/// All that is known of why there is no connection.
pub(crate) fn reason(error: &Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        reason = format!("{reason}: {error}");
        source = error.source();
    }
    reason
}
