//! How a client says who it is: with the token of a ServiceAccount, where it has one.
//!
//! A token in a file is read anew for each call, because Kubernetes replaces it before it expires.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use synod_proto::types::v1::Error as WireError;
use synod_types::ErrorCode;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::discovery::POD_DIRECTORY;
use crate::error::{Error, Result};

/// Where Kubernetes puts the token of a pod's ServiceAccount.
fn pod_token() -> PathBuf {
    Path::new(POD_DIRECTORY).join("token")
}

/// How a client says to the controller who it is. Nodes are told nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// With the token of the pod's ServiceAccount. Outside a pod, and in one that was given none: not at all.
    #[default]
    Pod,
    /// With the token in a file, which is read anew for each call.
    TokenFile(PathBuf),
    /// With a token.
    Token(String),
    /// Not at all.
    None,
}

/// Never shows a token.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => formatter.write_str("Pod"),
            Self::TokenFile(path) => formatter.debug_tuple("TokenFile").field(path).finish(),
            Self::Token(_) => formatter.write_str("Token(…)"),
            Self::None => formatter.write_str("None"),
        }
    }
}

impl Credentials {
    /// What a call carries, if anything.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] when there should be a token and is none.
    pub(crate) fn header(&self) -> Result<Option<MetadataValue<Ascii>>> {
        match self {
            Self::Pod => match fs::read_to_string(pod_token()) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                read => bearer_of_file(&pod_token(), read).map(Some),
            },
            Self::TokenFile(path) => bearer_of_file(path, fs::read_to_string(path)).map(Some),
            Self::Token(token) => bearer(token, "the token").map(Some),
            Self::None => Ok(None),
        }
    }

    /// # Errors
    /// [`ErrorCode::Invalid`] for a token that is none. A file may come, and change, later.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Token(_) => {
                self.header().map(|_| ()).map_err(|error| Error::new(ErrorCode::Invalid, error.message()))
            }
            Self::Pod | Self::TokenFile(_) | Self::None => Ok(()),
        }
    }
}

fn bearer_of_file(path: &Path, read: std::io::Result<String>) -> Result<MetadataValue<Ascii>> {
    let path = path.display();
    let token = read.map_err(|error| {
        let message = format!("the token in \"{path}\" cannot be read: {error}");
        Error::new(ErrorCode::Unauthenticated, message)
    })?;
    bearer(&token, &format!("what is in \"{path}\""))
}

fn bearer(token: &str, what: &str) -> Result<MetadataValue<Ascii>> {
    let token = token.trim();
    let is_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = Some(token).filter(|_| is_word);
    let value = value.and_then(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>().ok());
    let mut value = value.ok_or_else(|| {
        let message =
            format!("{what} is no token: use one line of ASCII, as `kubectl create token` prints it");
        Error::new(ErrorCode::Unauthenticated, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = self.header().map_err(|error| WireError::from(synod_types::Error::from(error)))?;
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(credentials: &Credentials) -> Option<String> {
        let request = credentials.clone().call(Request::new(())).unwrap();
        request.metadata().get("authorization").map(|header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_file_is_read_anew_for_each_call() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let credentials = Credentials::TokenFile(file.path().to_owned());
        for token in ["first", "second\n"] {
            fs::write(file.path(), token).unwrap();
            assert_eq!(sent(&credentials), Some(format!("Bearer {}", token.trim())));
        }
        for bad in ["", "\n", "two words", "ümlaut", "two\nlines"] {
            fs::write(file.path(), bad).unwrap();
            let error = credentials.header().unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unauthenticated);
            assert!(error.message().contains("is no token"), "{bad:?}: {error}");
        }
        drop(file);
        let error = credentials.header().unwrap_err();
        assert!(error.message().contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_token_is_sent_as_it_is_and_never_shown() {
        let token = Credentials::Token("secret".into());
        token.check().unwrap();
        assert_eq!(sent(&token).as_deref(), Some("Bearer secret"));
        assert!(!format!("{token:?}{:?}", token.header()).contains("secret"));
        assert_eq!(sent(&Credentials::None), None);
        let error = Credentials::Token("a b".into()).check().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid);
    }
}
