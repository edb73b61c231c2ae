//! An authority: a key of the operator's, with which it signs certificates.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use super::Subject;
use super::pair::{CA, Pair, Validity};

/// The key of the Secret under which the private key is.
const CA_KEY: &str = "ca.key";

const DAY_SECONDS: i64 = 24 * 3_600;

/// How long an authority is valid. It is replaced after two thirds of it, and the certificates that it signed last end
/// before it does.
const AUTHORITY_SECONDS: i64 = 365 * DAY_SECONDS;

/// How long a certificate is valid. It is renewed after two thirds of it.
const CERTIFICATE_SECONDS: i64 = 90 * DAY_SECONDS;

/// Certificates are valid from a little earlier on: no two clocks agree.
const SKEW_SECONDS: i64 = 3_600;

/// An authority, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Authority {
    pub(in super::super) certificate: String,
    key: String,
}

impl Authority {
    /// A new one, called after whose certificates it signs.
    pub(in super::super) fn make(of: &str, now: i64) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("synod {of}"), now, AUTHORITY_SECONDS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// The one that a Secret holds; none if it is damaged.
    pub(in super::super) fn read(secret: &Secret) -> Option<Self> {
        let text = |key: &str| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok();
        let authority = Self { certificate: text(CA)?, key: text(CA_KEY)? };
        authority.issuer().ok()?;
        Some(authority)
    }

    /// The same, as a Secret holds it.
    pub(in super::super) fn data(&self) -> BTreeMap<String, ByteString> {
        let of = |key: &str, value: &str| (key.to_owned(), ByteString(value.as_bytes().to_vec()));
        BTreeMap::from([of(CA, &self.certificate), of(CA_KEY, &self.key)])
    }

    /// Whether it is time for another one.
    pub(in super::super) fn is_due(&self, now: i64) -> bool {
        Validity::of(&self.certificate).is_none_or(|validity| validity.is_due(now))
    }

    /// A new certificate.
    pub(in super::super) fn issue(&self, subject: &impl Subject, now: i64) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params("synod", now, CERTIFICATE_SECONDS);
        for name in subject.dns() {
            params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        for uri in subject.uris() {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer()?)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem(), ca: self.certificate.clone() })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)
    }
}

fn params(common_name: &str, now: i64, seconds: i64) -> CertificateParams {
    let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = at(now - SKEW_SECONDS);
    params.not_after = at(now + seconds);
    params
}
