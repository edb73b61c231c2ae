//! How the controller service shows clients who it is: a certificate that all operators of a namespace share, and an
//! authority that is published to all pods.
//!
//! ```text
//!   Secret synod-controller-authority ──signs──► Secret synod-controller-tls ──each operator──► clients
//!        (the key of the authority)                     │
//!                                                       └──► ConfigMap synod-controller-ca, which every pod may read
//! ```
//!
//! Invariants:
//! - What is missing is made by whoever sees it first; what is there is changed only by the operator that acts. Objects
//!   are replaced only as they were seen, so that of two operators one decides.
//! - An authority is published long before a certificate of it is shown, unless nobody would believe another one anyway.
//! - An operator that has no certificate to show is not ready.
//! - Nothing is written while nothing is due.
//!
//! What must not go here: whom the service answers.

mod handshake;
mod keeper;
mod names;

#[cfg(test)]
mod tests;

pub(super) use self::handshake::{Shown, accept, config};
pub(super) use self::keeper::Keeper;
