//! Who calls, and what he may: what the API server says.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource as _};
use synod_api::PartitionGroup;
use synod_types::{Error, ErrorCode};

use crate::controller::{Reviews, Right, User};

/// How long the API server has to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the API server.
pub(super) struct ClusterReviews {
    tokens: Api<TokenReview>,
    rights: Api<SubjectAccessReview>,
}

impl ClusterReviews {
    pub(super) fn new(client: &Client) -> Self {
        Self { tokens: Api::all(client.clone()), rights: Api::all(client.clone()) }
    }
}

#[tonic::async_trait]
impl Reviews for ClusterReviews {
    async fn identify(&self, token: &str) -> Result<Option<User>, Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let parameters = PostParams::default();
        let answer = answered("who calls", self.tokens.create(&parameters, &review)).await?;
        let status = answer.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        Ok(user.map(|user| User {
            name: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }

    async fn allows(&self, user: &User, right: &Right) -> Result<bool, Error> {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let spec = SubjectAccessReviewSpec {
            user: said(&user.name),
            uid: said(&user.uid),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(PartitionGroup::group(&()).into_owned()),
                version: Some(PartitionGroup::version(&()).into_owned()),
                resource: Some(right.resource.as_str().to_owned()),
                verb: Some(right.verb.as_str().to_owned()),
                namespace: said(&right.namespace),
                name: said(&right.name),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let parameters = PostParams::default();
        let answer = answered("what the caller may", self.rights.create(&parameters, &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// An answer, if there is one in time.
async fn answered<T>(
    question: &str,
    asked: impl Future<Output = Result<T, kube::Error>> + Send,
) -> Result<T, Error> {
    let problem = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    tracing::warn!(question, problem, "a caller cannot be reviewed");
    let message = format!("the API server cannot be asked {question}: {problem}");
    Err(Error::new(ErrorCode::Unavailable, message))
}
