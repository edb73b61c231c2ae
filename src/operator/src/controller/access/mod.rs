//! Who may see and change what. Every call is checked before anything is looked up.
//!
//! ```text
//!   authorization: Bearer … ──► identify ──► Caller ──► check(Right) ──► the call
//!                                  │                        │
//!                                  └──── Remembered ◄───────┘
//!                                            │
//!                                         Reviews: whose token is it, what may he do?
//! ```
//!
//! Invariants:
//! - Only a yes lets anybody in: whoever cannot be reviewed gets a retryable error, and no answer.
//! - An answer is remembered for at most half a minute, a no for seconds, and never more than a bounded number of them.
//! - Tokens are remembered as their SHA-256, and appear in no log or error.
//!
//! What must not go here: how reviews are made ([`Reviews`] has that), and which call needs which right.

mod remembered;
mod right;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_types::{Error, ErrorCode};
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

use self::remembered::Remembered;
pub use self::right::{Resource, Right, Verb};

/// How long it is remembered whose token it is, and that somebody may do something.
const YES: Duration = Duration::from_secs(30);

/// How long a refusal is remembered: whoever has just been given a right does not wait long.
const NO: Duration = Duration::from_secs(5);

/// How many tokens are remembered, and how many rights.
const ENTRIES_MAX: usize = 8_192;

/// How many reviews are asked for at a time. The others wait.
const REVIEWS_MAX: usize = 32;

/// How often it is made sure that somebody who watches still may. Each such time costs two reviews for each token, so
/// that a thousand pods which watch cost the API server some thirty requests a second.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Whose a token is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// As in `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// Tells users of one name apart.
    pub uid: String,
    /// What they belong to.
    pub groups: Vec<String>,
    /// What else the authenticator says.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Knows people and their rights.
#[tonic::async_trait]
pub trait Reviews: Send + Sync + 'static {
    /// Whose token this is; nobody's if it is not valid.
    ///
    /// # Errors
    /// A retryable one when it cannot be found out.
    async fn identify(&self, token: &str) -> Result<Option<User>, Error>;

    /// Whether a user has a right.
    ///
    /// # Errors
    /// As [`Reviews::identify`].
    async fn allows(&self, user: &User, right: &Right) -> Result<bool, Error>;
}

/// Who may call. Cloning is cheap, and clones remember together.
#[derive(Clone)]
pub struct Access {
    reviewed: Option<Arc<Reviewed>>,
}

type TokenHash = [u8; 32];

struct Reviewed {
    reviews: Box<dyn Reviews>,
    turns: Semaphore,
    users: Remembered<TokenHash, Option<Arc<User>>>,
    rights: Remembered<(TokenHash, Right), bool>,
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Caller {
    /// Nothing if everybody may do everything.
    known: Option<Known>,
}

#[derive(Clone)]
struct Known {
    reviewed: Arc<Reviewed>,
    token: Arc<str>,
    hash: TokenHash,
    user: Arc<User>,
}

impl Access {
    /// Everybody may do everything, and nobody has to say who he is.
    pub const fn open() -> Self {
        Self { reviewed: None }
    }

    /// Everybody says who he is, and may do what the reviews allow.
    pub fn reviewed(reviews: impl Reviews) -> Self {
        let reviewed = Reviewed {
            reviews: Box::new(reviews),
            turns: Semaphore::new(REVIEWS_MAX),
            users: Remembered::new(ENTRIES_MAX),
            rights: Remembered::new(ENTRIES_MAX),
        };
        Self { reviewed: Some(Arc::new(reviewed)) }
    }

    /// Whether everybody may do everything.
    pub const fn is_open(&self) -> bool {
        self.reviewed.is_none()
    }

    /// Who calls.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] when nobody says, or the token is not valid; a retryable error when that cannot be
    /// found out.
    pub async fn identify(&self, metadata: &MetadataMap) -> Result<Caller, Error> {
        let Some(reviewed) = &self.reviewed else { return Ok(Caller { known: None }) };
        let token: Arc<str> = bearer(metadata)?.into();
        let hash = hash(&token);
        let user = reviewed.identify(&token, hash).await?;
        Ok(Caller { known: Some(Known { reviewed: reviewed.clone(), token, hash, user }) })
    }
}

impl Caller {
    /// Whether the caller has a right.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], saying who lacks what and how it is given; a retryable error when that cannot be found
    /// out.
    pub async fn check(&self, right: &Right) -> Result<(), Error> {
        let Some(Known { reviewed, hash, user, .. }) = &self.known else { return Ok(()) };
        if reviewed.allows(*hash, user, right).await? {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Forbidden, right.refusal(&user.name)))
    }

    /// Returns when the caller is known to have the right no more, or the token is no longer valid. As long as that cannot
    /// be found out, nothing has changed.
    pub async fn until_refused(self, right: Right) {
        loop {
            let Some(Known { reviewed, token, hash, .. }) = &self.known else {
                return std::future::pending().await;
            };
            tokio::time::sleep(RECHECK_INTERVAL).await;
            let checked = async {
                let user = reviewed.identify(token, *hash).await?;
                reviewed.allows(*hash, &user, &right).await
            };
            match checked.await {
                Ok(false) => return,
                Err(error) if error.code() == ErrorCode::Unauthenticated => return,
                Ok(true) | Err(_) => {}
            }
        }
    }
}

impl Reviewed {
    async fn identify(&self, token: &str, hash: TokenHash) -> Result<Arc<User>, Error> {
        let user = match self.users.get(&hash) {
            Some(user) => user,
            None => {
                let _turn = self.turns.acquire().await;
                let user = self.reviews.identify(token).await?.map(Arc::new);
                self.users.put(hash, user.clone(), if user.is_some() { YES } else { NO });
                user
            }
        };
        let invalid = "the API server does not know the token, or it has expired: make a new one, as with \
                       SYNOD_TOKEN=$(kubectl create token NAME)";
        user.ok_or_else(|| Error::new(ErrorCode::Unauthenticated, invalid))
    }

    async fn allows(&self, hash: TokenHash, user: &User, right: &Right) -> Result<bool, Error> {
        let key = (hash, right.clone());
        if let Some(allowed) = self.rights.get(&key) {
            return Ok(allowed);
        }
        let _turn = self.turns.acquire().await;
        let allowed = self.reviews.allows(user, right).await?;
        self.rights.put(key, allowed, if allowed { YES } else { NO });
        Ok(allowed)
    }
}

/// The token of whoever calls.
fn bearer(metadata: &MetadataMap) -> Result<&str, Error> {
    let missing = "nobody says who asks: send the token of a ServiceAccount as \"authorization: Bearer TOKEN\". In a pod the \
                   client does that by itself, unless automountServiceAccountToken is false; elsewhere set \
                   SYNOD_TOKEN=$(kubectl create token NAME)";
    let header = metadata.get("authorization").and_then(|header| header.to_str().ok()).unwrap_or_default();
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    match token.trim() {
        token if !token.is_empty() && scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        _ => Err(Error::new(ErrorCode::Unauthenticated, missing)),
    }
}

fn hash(token: &str) -> TokenHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}
