//! Certificates: made here or taken over, judged, and renewed in steps that everybody can follow.
//!
//! ```text
//!   authority (made here) ─┐
//!                          ├──► source: what is to be in use ──► rotation: what to write next
//!   what a user provides ──┘
//! ```
//!
//! What must not go here: whose certificates these are, and where they are written.

mod authority;
mod pair;
mod rotation;
mod source;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

pub(super) use self::authority::Authority;
pub(super) use self::pair::Pair;
pub(super) use self::rotation::Bundle;
#[cfg(test)]
pub(super) use self::rotation::SPREAD_SECONDS;
pub(super) use self::source::Source;

/// Since when the Secret of a certificate is as it is, in seconds since 1970.
const SINCE: &str = "synod.dev/certificates-since";

/// What a certificate is for.
pub(super) trait Subject {
    /// The DNS names that a certificate is given.
    fn dns(&self) -> Vec<String>;

    /// The URIs that a certificate is given.
    fn uris(&self) -> Vec<String>;

    /// What a certificate lacks that others look for: `is_for` asks it for a DNS name, `uris` are those that it has.
    fn missing(&self, is_for: &dyn Fn(&str) -> bool, uris: &[&str]) -> Vec<String>;
}

/// The Secret that holds an authority.
pub(super) fn authority_secret(metadata: ObjectMeta, authority: &Authority) -> Secret {
    Secret { metadata, data: Some(authority.data()), type_: Some("Opaque".to_owned()), ..Secret::default() }
}

/// The Secret that holds a certificate, and is so since `now`.
pub(super) fn certificate_secret(mut metadata: ObjectMeta, pair: &Pair, now: i64) -> Secret {
    metadata.annotations = Some([(SINCE.to_owned(), now.to_string())].into());
    Secret {
        metadata,
        data: Some(pair.data()),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    }
}

/// Since when the Secret of a certificate is as it is, in seconds since 1970.
pub(super) fn since(secret: Option<&Secret>) -> i64 {
    let said = secret.and_then(|secret| secret.annotations().get(SINCE)?.parse().ok());
    // Whoever has changed it has not said when: long ago.
    said.unwrap_or(0)
}
