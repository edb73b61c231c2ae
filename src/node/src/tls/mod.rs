//! TLS: who a node is, whom it believes, and how that is renewed while it runs.
//!
//! ```text
//!   directory (ca.crt, tls.crt, tls.key) ──polled──► Tls ──► each connection that comes in or goes out
//! ```
//!
//! Invariants:
//! - Files are taken as a whole or not at all: what cannot be used is logged, and what was in use stays.
//! - A connection keeps what it began with; new files end none.
//! - To the port for nodes, and to other nodes, both sides show certificates, which must name a partition in common.
//! - Where there is a directory, nothing but TLS 1.3 is spoken, also with a certificate that has expired.
//!
//! What must not go here: making certificates.

mod files;
mod handshake;
mod members;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub(crate) use files::Credentials;
pub use files::TlsError;
pub(crate) use handshake::{Served, Side, dial, serve};
pub(crate) use members::{Caller, Members};

/// How often the files are looked at. A file system tells nobody of everything that happens to what is mounted.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is worth a line in the log that somebody is refused: whoever connects must not fill it.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Says when it is worth a line in the log again that somebody is refused.
#[derive(Debug, Default)]
struct Complaints(Mutex<Option<Instant>>);

impl Complaints {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// The credentials of a node, as its files say now.
#[derive(Debug)]
pub(crate) struct Tls {
    dir: PathBuf,
    current: RwLock<Arc<Credentials>>,
    complaints: Complaints,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is missing or of no use.
    pub(crate) fn open(dir: &Path) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(Credentials::read(dir)?));
        Ok(Self { dir: dir.to_owned(), current, complaints: Complaints::default() })
    }

    /// What to use for the next connection.
    pub(crate) fn current(&self) -> Arc<Credentials> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again. Returns whether there is anything new.
    ///
    /// # Errors
    /// As [`Tls::open`]; then what was in use stays.
    pub(crate) fn renew(&self) -> Result<bool, TlsError> {
        let Some(renewed) = self.current().read_again(&self.dir)? else { return Ok(false) };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
        Ok(true)
    }

    /// Follows the files, without end.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut last_problem = None;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let problem = self.renew().map_err(|error| error.to_string());
            match &problem {
                Ok(false) => {}
                Ok(true) => tracing::info!(identity = %self.current().members(), "certificates renewed"),
                Err(error) if problem.as_ref().err() == last_problem.as_ref() => {
                    tracing::debug!(error, "the new certificates are still of no use");
                }
                Err(error) => tracing::error!(error, "the new certificates are of no use: the old ones stay"),
            }
            last_problem = problem.err();
        }
    }
}
