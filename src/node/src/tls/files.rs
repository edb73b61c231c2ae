//! The files, and what is made from them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig, crypto, version};

use super::members::Members;

/// The names of the files: those of a Secret of type `kubernetes.io/tls`.
const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// All that a connection speaks inside.
const HTTP_2: &[u8] = b"h2";

const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13];

/// Why the files of a node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// One does not hold what it should.
    #[error("{path} is of no use: {problem}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}

/// The contents of the files, to tell whether they have changed.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What a node uses for its connections.
#[derive(Debug)]
pub(crate) struct Credentials {
    contents: Contents,
    members: Arc<Members>,
    pub(super) for_clients: Arc<ServerConfig>,
    pub(super) for_nodes: Arc<ServerConfig>,
    pub(super) outbound: Arc<ClientConfig>,
}

impl Credentials {
    pub(super) fn read(dir: &Path) -> Result<Self, TlsError> {
        Self::of(dir, contents(dir)?)
    }

    /// What the files say now, if it is anything new.
    pub(super) fn read_again(&self, dir: &Path) -> Result<Option<Self>, TlsError> {
        let contents = contents(dir)?;
        if contents == self.contents {
            return Ok(None);
        }
        Self::of(dir, contents).map(Some)
    }

    /// Who this node is.
    pub(crate) const fn members(&self) -> &Arc<Members> {
        &self.members
    }

    fn of(dir: &Path, contents: Contents) -> Result<Self, TlsError> {
        let wrong = |file: &str, problem: String| TlsError::Content { path: dir.join(file), problem };
        let authorities = certificates(&contents.ca).map_err(|problem| wrong(CA, problem))?;
        let chain = certificates(&contents.certificate).map_err(|problem| wrong(CERTIFICATE, problem))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| wrong(KEY, format!("there is no private key in it: {error}")))?;
        let members = chain.first().map(Members::of).unwrap_or_default();
        if members.is_empty() {
            let problem =
                "it names no partition: give it a URI such as synod://<namespace>/<group>/<partition>";
            return Err(wrong(CERTIFICATE, problem.to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| wrong(CA, error.to_string()))?;
        }
        let configured = configure(Arc::new(roots), &chain, &key);
        let (for_clients, for_nodes, outbound) = configured.map_err(|problem| wrong(CERTIFICATE, problem))?;
        Ok(Self { contents, members: Arc::new(members), for_clients, for_nodes, outbound })
    }
}

fn contents(dir: &Path) -> Result<Contents, TlsError> {
    let read = |file| {
        let path = dir.join(file);
        fs::read(&path).map_err(|source| TlsError::Read { path, source })
    };
    Ok(Contents { ca: read(CA)?, certificate: read(CERTIFICATE)?, key: read(KEY)? })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("it is no PEM: {error}"))?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

type Configurations = (Arc<ServerConfig>, Arc<ServerConfig>, Arc<ClientConfig>);

fn configure(
    roots: Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Configurations, String> {
    let failed = |error: rustls::Error| error.to_string();
    let provider = Arc::new(crypto::ring::default_provider());
    let server = || {
        let builder = ServerConfig::builder_with_provider(provider.clone());
        builder.with_protocol_versions(VERSIONS).map_err(failed)
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let own = || (chain.to_vec(), key.clone_key());
    let (certificates, secret) = own();
    let for_clients =
        server()?.with_no_client_auth().with_single_cert(certificates, secret).map_err(failed)?;
    let (certificates, secret) = own();
    let mut for_nodes = server()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, secret)
        .map_err(failed)?;
    // Nobody is believed again for having been believed once.
    for_nodes.send_tls13_tickets = 0;
    for_nodes.session_storage = Arc::new(NoServerSessionStorage {});
    let (certificates, secret) = own();
    let mut outbound = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(VERSIONS)
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, secret)
        .map_err(failed)?;
    outbound.resumption = rustls::client::Resumption::disabled();
    outbound.alpn_protocols = vec![HTTP_2.to_vec()];
    let with_alpn = |mut server: ServerConfig| {
        server.alpn_protocols = vec![HTTP_2.to_vec()];
        Arc::new(server)
    };
    Ok((with_alpn(for_clients), with_alpn(for_nodes), Arc::new(outbound)))
}
