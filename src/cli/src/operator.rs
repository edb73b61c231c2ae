//! `synod operator`: keeps groups and primitives on Kubernetes until it is told to stop.

use std::net::SocketAddr;

use anyhow::Context as _;
use synod_operator::kubernetes::{self, AccessMode, ControllerTls, Settings};
use tokio::signal::unix::{SignalKind, signal};

/// What the operator is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The name of this operator, unique in the cluster: that of its pod.
    #[arg(long, value_name = "NAME", env = "SYNOD_OPERATOR_NAME")]
    name: String,

    /// The namespace of this operator. Operators of one namespace take turns: one of them acts.
    #[arg(long, value_name = "NAMESPACE", env = "SYNOD_OPERATOR_NAMESPACE")]
    namespace: String,

    /// The only namespace whose groups are kept; all namespaces if it is left out.
    #[arg(long, value_name = "NAMESPACE", env = "SYNOD_WATCHED_NAMESPACE")]
    watched_namespace: Option<String>,

    /// The image of replicas whose group names none.
    #[arg(long, value_name = "IMAGE", env = "SYNOD_IMAGE")]
    image: String,

    /// Where to serve clients that look for groups.
    #[arg(long, value_name = "ADDRESS", env = "SYNOD_CONTROLLER_LISTEN", default_value = "0.0.0.0:5679")]
    controller_listen: SocketAddr,

    /// How to show them who this is.
    #[arg(long, value_name = "MODE", env = "SYNOD_CONTROLLER_TLS", default_value = "made")]
    controller_tls: Tls,

    /// Which clients to serve there.
    #[arg(long, value_name = "MODE", env = "SYNOD_ACCESS", default_value = "reviewed")]
    access: Access,

    /// Where to serve health over HTTP.
    #[arg(long, value_name = "ADDRESS", env = "SYNOD_HEALTH_LISTEN", default_value = "0.0.0.0:9090")]
    health_listen: SocketAddr,

    /// How many objects of one kind are worked on at a time.
    #[arg(long, value_name = "NUMBER", env = "SYNOD_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    concurrency: u16,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Access {
    /// Those that send the token of an account which may do what is asked, as RBAC says
    Reviewed,
    /// All
    None,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Tls {
    /// With a certificate that the operators make and share; who vouches for it, every pod may read
    Made,
    /// Not at all: in plain text, for development
    None,
}

/// Runs the operator until SIGTERM or SIGINT.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        name,
        namespace,
        watched_namespace,
        image,
        controller_listen,
        controller_tls,
        access,
        health_listen,
        concurrency,
    } = arguments;
    let settings = Settings {
        identity: name,
        lease_namespace: namespace,
        watched_namespace: watched_namespace.filter(|namespace| !namespace.is_empty()),
        image,
        controller_listen,
        controller_tls: match controller_tls {
            Tls::Made => ControllerTls::Made,
            Tls::None => ControllerTls::None,
        },
        access: match access {
            Access::Reviewed => AccessMode::Reviewed,
            Access::None => AccessMode::None,
        },
        health_listen,
        concurrency,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            }
        };
        Ok(kubernetes::run(settings, stop).await?)
    })
}
