//! A certificate with its key and those who vouch for it: what it is good for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Subject;

/// The keys of a Secret of type `kubernetes.io/tls`.
pub(in super::super) const CERTIFICATE: &str = "tls.crt";
pub(in super::super) const KEY: &str = "tls.key";
pub(in super::super) const CA: &str = "ca.crt";

/// A certificate with its key and those who vouch for it, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Pair {
    pub(in super::super) certificate: String,
    pub(in super::super) key: String,
    pub(in super::super) ca: String,
}

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Validity {
    pub(in super::super) begins: i64,
    pub(in super::super) ends: i64,
}

impl Validity {
    /// Whether two thirds of it are over: there is time left to try again if the next one cannot be had.
    pub(in super::super) const fn is_due(self, now: i64) -> bool {
        now >= self.begins + (self.ends - self.begins) / 3 * 2
    }

    pub(in super::super) fn of(certificate: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let validity = parsed.validity();
        Some(Self { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
    }
}

impl Pair {
    /// What a Secret holds.
    ///
    /// # Errors
    /// What it lacks.
    pub(in super::super) fn read(secret: &Secret) -> Result<Self, String> {
        let data = secret.data.as_ref();
        let text = |key: &str| {
            let value = data.and_then(|data| data.get(key));
            let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
            text.ok_or_else(|| {
                format!("it has no text under \"{key}\": it needs {CERTIFICATE}, {KEY} and {CA}")
            })
        };
        Ok(Self { certificate: text(CERTIFICATE)?, key: text(KEY)?, ca: text(CA)? })
    }

    /// The same, as a Secret holds it.
    pub(in super::super) fn data(&self) -> BTreeMap<String, ByteString> {
        let of = |key: &str, value: &str| (key.to_owned(), ByteString(value.as_bytes().to_vec()));
        BTreeMap::from([of(CERTIFICATE, &self.certificate), of(KEY, &self.key), of(CA, &self.ca)])
    }

    /// Sees that servers can use it, and that others will believe it.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(in super::super) fn check(&self, subject: &impl Subject, now: i64) -> Result<Validity, String> {
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let authorities = certificates(CA, &self.ca)?;
        self.certified_key()?;
        let (first, rest) = chain.split_first().ok_or("there is no certificate")?;
        let certificate = EndEntityCert::try_from(first).map_err(|error| because(&error))?;
        verify(&certificate, rest, &authorities, now).map_err(|error| because(&error))?;
        let is_for = |host: &str| {
            let name = ServerName::try_from(host);
            name.is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
        };
        let uris: Vec<_> = certificate.valid_uri_names().collect();
        let missing = subject.missing(&is_for, &uris);
        if let Some(first) = missing.first() {
            let others =
                if missing.len() > 1 { format!(", nor {} more", missing.len() - 1) } else { String::new() };
            return Err(format!("the certificate does not have {first}{others}: add what is missing"));
        }
        Validity::of(&self.certificate).ok_or_else(|| "when the certificate ends cannot be read".to_owned())
    }

    /// The same, as a server shows it.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(in super::super) fn certified_key(&self) -> Result<CertifiedKey, String> {
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| format!("there is no private key under \"{KEY}\": {error}"))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
            format!(
                "the key under \"{KEY}\" does not go with the certificate: put in the one that does ({error})"
            )
        })
    }
}

fn certificates(under: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| format!("what is under \"{under}\" is no PEM: {error}"))?;
    if found.is_empty() { Err(format!("there is no certificate under \"{under}\"")) } else { Ok(found) }
}

fn verify(
    certificate: &EndEntityCert<'_>,
    rest: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    now: i64,
) -> Result<(), Error> {
    let anchors: Result<Vec<_>, _> = authorities.iter().map(anchor_from_trusted_cert).collect();
    let anchors = anchors?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        certificate.verify_for_usage(algorithms, &anchors, rest, now, usage, None, None)?;
    }
    Ok(())
}

/// What is wrong with a certificate, and what to do.
fn because(error: &Error) -> String {
    let at = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
    };
    match error {
        Error::CertExpired { not_after, .. } => {
            format!("the certificate has expired at {}: renew it", at(not_after))
        }
        Error::CertNotValidYet { not_before, .. } => {
            format!("the certificate is not valid before {}: wait, or issue it anew", at(not_before))
        }
        // The second is what is said of an authority that has the same name.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => {
            format!("no authority under \"{CA}\" has signed the certificate: add the one that has")
        }
        Error::RequiredEkuNotFoundContext(_) => {
            "the certificate is not for servers and clients: give it both usages, server auth and client auth"
                .to_owned()
        }
        other => format!("the certificate is of no use: {other}"),
    }
}
