//! Whom a client believes to be a replica.

use std::fmt;
use std::sync::Arc;

use synod_types::ErrorCode;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::error::{Error, Result};

/// Whom a client believes to be a replica: whoever answers at its address, in plain text, or only who shows a certificate
/// for that address which one of certain authorities has signed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trust {
    ca_pem: Option<Arc<str>>,
}

impl Trust {
    /// Whoever answers. Nothing is encrypted.
    pub const fn plain_text() -> Self {
        Self { ca_pem: None }
    }

    /// Those for whom one of these authorities vouches: their certificates in PEM, one after the other.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] when there is no certificate in it.
    pub fn authorities(ca_pem: impl Into<String>) -> Result<Self> {
        let ca_pem = ca_pem.into();
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_pem.as_bytes()).collect();
        let problem = match found {
            Ok(found) if !found.is_empty() => return Ok(Self { ca_pem: Some(ca_pem.into()) }),
            Ok(_) => "there is no certificate among what is to be trusted".to_owned(),
            Err(error) => format!("what is to be trusted is no PEM: {error}"),
        };
        Err(Error::new(ErrorCode::Invalid, format!("{problem}: give certificates in PEM")))
    }

    /// As a controller says it: nothing stands for plain text.
    ///
    /// # Errors
    /// As [`Trust::authorities`].
    pub fn said(ca_pem: &str) -> Result<Self> {
        if ca_pem.is_empty() { Ok(Self::plain_text()) } else { Self::authorities(ca_pem) }
    }

    /// The certificates of the authorities in PEM; none for plain text.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.ca_pem.is_some() { "authorities" } else { "plain text" })
    }
}
