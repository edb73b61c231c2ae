//! Which group is meant, and the way to it.

use std::time::Duration;

use synod_client::controller::{self, Controller};
use synod_client::{
    Client, ClientBuilder, Consistency, Counter, Election, ErrorCode, Group, Lock, Map, Set, Value,
};

use crate::exit::{Exit, Failure};
use crate::{input, progress};

/// Where the group is.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Where")]
pub(crate) struct Target {
    /// The controller, as http://host:port or https://host:port. In a pod it is the Service synod-controller of namespace
    /// synod-system if nothing is said, elsewhere http://127.0.0.1:5679. It is told who asks by SYNOD_TOKEN, SYNOD_TOKEN_FILE,
    /// or the token of the pod's ServiceAccount.
    #[arg(long, global = true, value_name = "URL", env = "SYNOD_CONTROLLER")]
    controller: Option<String>,

    /// A file with the certificates, in PEM, of those whom to trust about the controller. In a pod the API server says it.
    #[arg(long, global = true, value_name = "FILE", env = "SYNOD_CONTROLLER_CA", value_parser = input::text_of_file)]
    controller_ca: Option<String>,

    /// The namespace of the group: that of the pod, or "default", if nothing is said.
    #[arg(long, short, global = true, value_name = "NAME", env = "SYNOD_NAMESPACE")]
    namespace: Option<String>,

    /// The group. May be left out where the namespace has one.
    #[arg(long, short, global = true, value_name = "NAME", env = "SYNOD_GROUP")]
    group: Option<String>,

    /// A file with the certificates, in PEM, of those whom to trust about replicas, instead of those that the controller
    /// names.
    #[arg(long, global = true, value_name = "FILE", env = "SYNOD_CA", value_parser = input::text_of_file)]
    ca: Option<String>,

    /// How long to try before giving up, whatever fails on the way.
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        env = "SYNOD_TIMEOUT",
        default_value = "10s",
        value_parser = input::duration
    )]
    timeout: Duration,
}

/// Which primitives of the group.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Where")]
pub(crate) struct Owner {
    /// The application that the primitive belongs to: "default" if nothing is said.
    #[arg(long, short, global = true, value_name = "NAME", env = "SYNOD_APPLICATION")]
    application: Option<String>,
}

/// Which primitives of the group, and how to use them.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Where")]
pub(crate) struct Access {
    #[command(flatten)]
    pub(crate) owner: Owner,

    /// Fail if the primitive does not exist, instead of creating it.
    #[arg(long, global = true)]
    existing: bool,

    /// Read from any replica: faster, and perhaps not the newest.
    #[arg(long, global = true)]
    sequential: bool,
}

fn said(argument: Option<&String>) -> Option<String> {
    argument.filter(|argument| !argument.is_empty()).cloned()
}

impl Target {
    /// How long to try.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The group that was named, or nothing.
    pub(crate) fn group_name(&self) -> String {
        said(self.group.as_ref()).unwrap_or_default()
    }

    /// The same, for a group that was named in another way as well.
    pub(crate) fn with_group_name(mut self, name: Option<String>) -> Self {
        self.group = name.or(self.group);
        self
    }

    /// The namespace that was named, or nothing.
    pub(crate) fn namespace_name(&self) -> String {
        said(self.namespace.as_ref()).unwrap_or_default()
    }

    /// A client that is about to be told more.
    pub(crate) fn builder(&self) -> ClientBuilder {
        let mut builder = Client::builder().request_timeout(self.timeout).client_name(whoami());
        if let Some(controller) = said(self.controller.as_ref()) {
            builder = builder.controller(controller);
        }
        if let Some(ca) = &self.controller_ca {
            builder = builder.controller_ca(ca);
        }
        if let Some(ca) = &self.ca {
            builder = builder.ca(ca);
        }
        if let Some(namespace) = said(self.namespace.as_ref()) {
            builder = builder.namespace(namespace);
        }
        if let Some(group) = said(self.group.as_ref()) {
            builder = builder.group(group);
        }
        builder
    }

    /// A client that has not asked anybody yet.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Ok(self.builder().build().await?)
    }

    /// Does something with the group, and ends what it has begun with it.
    pub(crate) async fn using<T>(
        &self,
        owner: &Owner,
        session_timeout: Option<Duration>,
        what: impl AsyncFnOnce(Group) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut builder = self.builder();
        if let Some(application) = said(owner.application.as_ref()) {
            builder = builder.application(application);
        }
        if let Some(timeout) = session_timeout {
            builder = builder.session_timeout(timeout);
        }
        let client = builder.build().await?;
        let done = async { what(self.find(&client).await?).await }.await;
        client.close().await;
        done
    }

    async fn find(&self, client: &Client) -> Result<Group, Failure> {
        let waiting = async || "waiting for the controller".to_owned();
        let found = progress::telling(waiting, client.default_group()).await;
        found.map_err(|error| self.unreachable(error))
    }

    /// Asks the controller something, once, with the namespace that is meant.
    pub(crate) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Controller, &str) -> synod_client::Result<T>,
    ) -> Result<T, Failure> {
        let client = self.client().await?;
        let Some(controller) = client.controller() else {
            return Err(Failure::new(Exit::FAULT, "the client has no controller"));
        };
        let answer = tokio::time::timeout(self.timeout, question(controller, client.namespace()));
        let waiting = async || "waiting for the controller".to_owned();
        match progress::telling(waiting, answer).await {
            Ok(answer) => answer.map_err(|error| self.unreachable(error)),
            Err(_) => {
                let message = format!("the controller does not answer within {:?}", self.timeout);
                Err(Failure::new(Exit::UNAVAILABLE, message).hint(self.start_one()))
            }
        }
    }

    /// The group as the controller describes it, but for whom to trust if that was said.
    pub(crate) async fn describe(&self) -> Result<controller::Group, Failure> {
        let name = self.group_name();
        let mut group =
            self.ask(async |controller, namespace| controller.group(namespace, &name).await).await?;
        if let Some(ca) = &self.ca {
            group.ca_pem.clone_from(ca);
        }
        Ok(group)
    }

    /// The groups of the namespace, or of all.
    pub(crate) async fn groups(&self, of_all_namespaces: bool) -> Result<Vec<controller::Group>, Failure> {
        let list = async |controller: &Controller, namespace: &str| {
            controller.groups(if of_all_namespaces { "" } else { namespace }).await
        };
        self.ask(list).await
    }

    /// What keeps the group from being found.
    fn unreachable(&self, error: synod_client::Error) -> Failure {
        let is_away = matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Timeout);
        let failure = Failure::from(error);
        if is_away { failure.hint(self.start_one()) } else { failure }
    }

    fn start_one(&self) -> String {
        match said(self.controller.as_ref()) {
            Some(address) => format!("check that the controller runs at {address}"),
            None => {
                "start one with `synod dev`, or say where it is: --controller, SYNOD_CONTROLLER".to_owned()
            }
        }
    }
}

impl Owner {
    /// The application that was named, or nothing.
    pub(crate) fn application_name(&self) -> String {
        said(self.application.as_ref()).unwrap_or_default()
    }
}

/// How this process is called where others look.
pub(crate) fn whoami() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut name = format!("synod-{}@{host}", std::process::id());
    name.truncate(name.floor_char_boundary(200));
    name
}

/// Declares how to get at the primitives of each kind.
macro_rules! handles {
    ($($name:ident: $Handle:ident),*) => {
        impl Access {
            $(
                /// The primitive of this name.
                pub(crate) fn $name(&self, group: &Group, name: String) -> $Handle {
                    let handle = group.$name(name).consistency(self.consistency());
                    if self.existing { handle.existing() } else { handle }
                }
            )*
        }
    };
}

handles!(counter: Counter, value: Value, map: Map, set: Set, lock: Lock, election: Election);

impl Access {
    const fn consistency(&self) -> Consistency {
        if self.sequential { Consistency::Sequential } else { Consistency::Linearizable }
    }
}
