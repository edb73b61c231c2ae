//! What a client can be told.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_types::{Application, DEFAULT_NAMESPACE, ErrorCode, check_label};

use crate::client::{Client, Shared};
use crate::connections::Connections;
use crate::controller::{Authorities, Controller};
use crate::credentials::Credentials;
use crate::discovery::POD_DIRECTORY;
use crate::error::{Error, Result};
use crate::group::Environment;
use crate::partition::pipeline::Settings;
use crate::resolver::{ControllerResolver, Resolver, TrustingResolver};
use crate::trust::Trust;

/// Where a controller is on this machine: `synod dev`.
const LOCAL_CONTROLLER: &str = "http://127.0.0.1:5679";
/// Where it is in a cluster, if the operator is in the namespace into which it is usually installed.
const POD_CONTROLLER: &str = "https://synod-controller.synod-system:5679";

const CLIENT_NAME_BYTES_MAX: usize = 255;

/// What a client can be told; see [`Client::builder`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    controller: Option<String>,
    controller_ca_pem: Option<String>,
    credentials: Option<Credentials>,
    resolver: Option<Arc<dyn Resolver>>,
    namespace: Option<String>,
    group: Option<String>,
    application: Option<String>,
    client_name: Option<String>,
    ca_pem: Option<String>,
    session_timeout: Duration,
    request_timeout: Duration,
    #[cfg(any(test, feature = "embedded"))]
    pub(crate) embedded: Option<Arc<crate::embedded::Embedded>>,
}

impl ClientBuilder {
    pub(crate) const fn new() -> Self {
        Self {
            controller: None,
            controller_ca_pem: None,
            credentials: None,
            resolver: None,
            namespace: None,
            group: None,
            application: None,
            client_name: None,
            ca_pem: None,
            session_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            #[cfg(any(test, feature = "embedded"))]
            embedded: None,
        }
    }

    /// The controller: in plain text as `http://host:port`, over TLS as `https://host:port`. Over TLS nothing is said to one
    /// for whom nobody vouches. Who does, a pod learns from its API server, if the address is
    /// `https://synod-controller.NAMESPACE:port`; elsewhere [`ClientBuilder::controller_ca`] says it.
    #[must_use]
    pub fn controller(mut self, address: impl Into<String>) -> Self {
        self.controller = Some(address.into());
        self
    }

    /// The authorities whose certificates the controller must show, in PEM, instead of those that the API server names.
    #[must_use]
    pub fn controller_ca(mut self, pem: impl Into<String>) -> Self {
        self.controller_ca_pem = Some(pem.into());
        self
    }

    /// How the client says to the controller who it is: with the token of its pod's ServiceAccount, if nothing is said.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// How groups are found, instead of by a controller.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// The namespace whose groups are used.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The group that [`Client::default_group`] gives.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The application whose primitives are used, "default" if none is given. Programs that share it share the
    /// primitives.
    #[must_use]
    pub fn application(mut self, application: impl Into<String>) -> Self {
        self.application = Some(application.into());
        self
    }

    /// What the program is called, for people who look at a server; at most 255 bytes.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// The authorities whose certificates replicas must show, in PEM, instead of those that the controller names. With
    /// them nothing is ever said to a replica in plain text.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<String>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// How long locks and candidacies outlive a client that has gone silent: 1 second to 24 hours, 15 seconds if nothing
    /// is said. Shorter frees them sooner, and loses them sooner to a network that is cut off for a while.
    #[must_use]
    pub const fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How long an operation tries, whatever fails on the way: 10 seconds if nothing is said.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The client. It connects when it is first used, so this succeeds also while nothing runs yet.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`], saying what is wrong and what is allowed.
    pub async fn build(self) -> Result<Client> {
        check_duration(
            "session_timeout",
            self.session_timeout,
            (Duration::from_secs(1), Duration::from_secs(86_400)),
        )?;
        check_duration(
            "request_timeout",
            self.request_timeout,
            (Duration::from_millis(1), Duration::from_secs(86_400)),
        )?;
        let client_name = self.client_name.unwrap_or_else(program_name);
        if client_name.len() > CLIENT_NAME_BYTES_MAX {
            let message =
                format!("client_name has {} bytes: use at most {CLIENT_NAME_BYTES_MAX}", client_name.len());
            return Err(Error::new(ErrorCode::Invalid, message));
        }
        let surroundings = Surroundings::read();
        let namespace = self.namespace.or(surroundings.namespace).unwrap_or_else(|| DEFAULT_NAMESPACE.into());
        check_label("namespace", &namespace)?;
        let group = self.group.or(surroundings.group);
        if let Some(group) = &group {
            check_label("group", group)?;
        }
        let application = self.application.map_or_else(|| Ok(Application::default()), Application::new)?;
        let (resolver, controller): (Arc<dyn Resolver>, _) = match self.resolver {
            Some(resolver) => (resolver, None),
            None => {
                let ca = match (self.controller_ca_pem, &surroundings.controller_ca) {
                    (Some(pem), _) => Some(pem),
                    (None, Some(path)) => Some(read_controller_ca(path)?),
                    (None, None) => None,
                };
                let address = self.controller.unwrap_or(surroundings.controller);
                let credentials = self.credentials.unwrap_or(surroundings.credentials);
                let controller = match ca.map(Trust::authorities).transpose()? {
                    Some(trust) => Controller::trusting(Authorities::Given(trust), &address, credentials)?,
                    None => Controller::new(&address, credentials)?,
                };
                (Arc::new(ControllerResolver::new(controller.clone())), Some(controller))
            }
        };
        let resolver = match self.ca_pem.map(Trust::authorities).transpose()? {
            Some(trust) => Arc::new(TrustingResolver::new(resolver, trust)),
            None => resolver,
        };
        let settings = Settings {
            session_timeout: self.session_timeout,
            // Soon enough to find another leader before the session is in doubt.
            stall_timeout: (self.session_timeout / 4)
                .clamp(Duration::from_millis(500), Duration::from_secs(3)),
            client_name,
        };
        let environment = Environment {
            settings,
            request_timeout: self.request_timeout,
            connections: Arc::new(Connections::default()),
            #[cfg(any(test, feature = "embedded"))]
            embedded: self.embedded,
        };
        let groups = Mutex::new(HashMap::new());
        Ok(Client::new(Shared { resolver, controller, namespace, group, application, environment, groups }))
    }
}

fn check_duration(field: &str, given: Duration, (min, max): (Duration, Duration)) -> Result<()> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let message = format!("{field} is {given:?}: use {min:?} to {max:?}");
    Err(Error::new(ErrorCode::Invalid, message))
}

/// # Errors
/// [`ErrorCode::Invalid`] when it cannot be read.
fn read_controller_ca(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let message =
            format!("SYNOD_CONTROLLER_CA names \"{}\", which cannot be read: {error}", path.display());
        Error::new(ErrorCode::Invalid, message)
    })
}

/// The name of the program that runs, and its process.
fn program_name() -> String {
    let path = env::current_exe().ok();
    let name = path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let mut name = name.unwrap_or_else(|| "unknown".to_owned());
    name.truncate(name.floor_char_boundary(200));
    format!("{name} ({})", std::process::id())
}

/// What the environment of the process says.
struct Surroundings {
    controller: String,
    /// A file.
    controller_ca: Option<PathBuf>,
    credentials: Credentials,
    namespace: Option<String>,
    group: Option<String>,
}

impl Surroundings {
    fn read() -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let pod = std::fs::read_to_string(Path::new(POD_DIRECTORY).join("namespace"))
            .ok()
            .map(|namespace| namespace.trim().to_owned());
        Self::of(variable, pod)
    }

    fn of(variable: impl Fn(&'static str) -> Option<String>, pod_namespace: Option<String>) -> Self {
        let default = if pod_namespace.is_some() { POD_CONTROLLER } else { LOCAL_CONTROLLER };
        Self {
            controller: variable("SYNOD_CONTROLLER").unwrap_or_else(|| default.to_owned()),
            controller_ca: variable("SYNOD_CONTROLLER_CA").map(PathBuf::from),
            credentials: match (variable("SYNOD_TOKEN"), variable("SYNOD_TOKEN_FILE")) {
                (Some(token), _) => Credentials::Token(token),
                (None, Some(path)) => Credentials::TokenFile(path.into()),
                (None, None) => Credentials::Pod,
            },
            namespace: variable("SYNOD_NAMESPACE").or(pod_namespace).filter(|name| !name.is_empty()),
            group: variable("SYNOD_GROUP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_out_of_bounds_is_refused_by_name() {
        let second = Duration::from_secs(1);
        let refused = [
            (ClientBuilder::new().session_timeout(second / 2), "session_timeout"),
            (ClientBuilder::new().request_timeout(Duration::ZERO), "request_timeout"),
            (ClientBuilder::new().namespace("Not A Label"), "namespace"),
            (ClientBuilder::new().group("-"), "group"),
            (ClientBuilder::new().application(""), "application"),
            (ClientBuilder::new().client_name("x".repeat(256)), "client_name"),
            (ClientBuilder::new().controller("no address"), "no address"),
            (ClientBuilder::new().credentials(Credentials::Token("two words".into())), "token"),
            (ClientBuilder::new().ca("rubbish"), "give certificates in PEM"),
            (
                ClientBuilder::new().controller("https://a:1").controller_ca("rubbish"),
                "give certificates in PEM",
            ),
            (ClientBuilder::new().controller("https://a:1"), "SYNOD_CONTROLLER_CA"),
        ];
        for (builder, named) in refused {
            let error = builder.build().await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn the_environment_comes_before_the_pod_and_the_pod_before_the_machine() {
        let nothing = |_| None;
        let machine = Surroundings::of(nothing, None);
        assert_eq!((machine.controller.as_str(), machine.namespace), (LOCAL_CONTROLLER, None));
        assert_eq!((machine.credentials, machine.controller_ca), (Credentials::Pod, None));
        let pod = Surroundings::of(nothing, Some("shop".into()));
        assert_eq!((pod.controller.as_str(), pod.namespace.as_deref()), (POD_CONTROLLER, Some("shop")));
        let told = Surroundings::of(|name| Some(name.to_lowercase()), Some("shop".into()));
        assert_eq!(told.controller, "synod_controller");
        assert_eq!(told.controller_ca.as_deref(), Some(Path::new("synod_controller_ca")));
        assert_eq!(told.credentials, Credentials::Token("synod_token".into()));
        let file = Surroundings::of(|name| (name == "SYNOD_TOKEN_FILE").then(|| "/token".into()), None);
        assert_eq!(file.credentials, Credentials::TokenFile("/token".into()));
        assert_eq!(told.namespace.as_deref(), Some("synod_namespace"));
        assert_eq!(told.group.as_deref(), Some("synod_group"));
    }
}
