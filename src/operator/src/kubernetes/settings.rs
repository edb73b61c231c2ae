//! What the operator is told when it starts.

use std::net::SocketAddr;

/// Which clients the controller service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Those that send the token of an account which may see, or change, what is asked for.
    Reviewed,
    /// All of them.
    None,
}

/// How the controller service shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerTls {
    /// With a certificate that the operators make and share. Who vouches for it, they publish to all pods.
    Made,
    /// Not at all: it speaks plain text, and whoever is on the way can read tokens.
    None,
}

/// What the operator is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its own name, unique among the operators of the cluster: the pod's.
    pub identity: String,
    /// The namespace that holds the lease for which operators compete, and the certificate that they share.
    pub lease_namespace: String,
    /// The only namespace whose objects are kept; all of them if it is left out.
    pub watched_namespace: Option<String>,
    /// The image of replicas whose group names none.
    pub image: String,
    /// Where to serve clients that look for groups.
    pub controller_listen: SocketAddr,
    /// How to show them who this is.
    pub controller_tls: ControllerTls,
    /// Whom to serve there.
    pub access: AccessMode,
    /// Where to serve health over HTTP.
    pub health_listen: SocketAddr,
    /// How many objects of one kind are worked on at a time.
    pub concurrency: u16,
}
