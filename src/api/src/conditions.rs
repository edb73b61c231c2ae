//! The types and reasons of the conditions in a status.
//!
//! A type is a question that tools wait on, so it never changes its meaning. A reason is one word for why; the
//! message beside it says what to do. `True` is good for [`READY`] and [`CERTIFICATES_READY`] and a matter of fact for the others, of which
//! [`DEGRADED`], [`QUORUM_LOST`] and [`SPEC_REJECTED`] are bad.

/// Every partition has a leader and all its members answer; of a primitive: it exists as declared.
pub const READY: &str = "Ready";
/// The operator is changing something: birth, scaling, a roll.
pub const PROGRESSING: &str = "Progressing";
/// Every partition serves, but some could bear fewer failures than they should.
pub const DEGRADED: &str = "Degraded";
/// A partition has lost the majority of its members: it serves nothing until they come back.
pub const QUORUM_LOST: &str = "QuorumLost";
/// The spec asks for what cannot be had. The group serves on as it was.
pub const SPEC_REJECTED: &str = "SpecRejected";
/// Every replica has a certificate that is fit, or the spec wants none.
pub const CERTIFICATES_READY: &str = "CertificatesReady";
/// `spec.paused` is set: the operator changes nothing.
pub const PAUSED: &str = "Paused";

/// The reasons that conditions give.
pub mod reasons {
    /// All is as declared.
    pub const AS_DECLARED: &str = "AsDeclared";
    /// The partitions are being brought to life for the first time.
    pub const BOOTSTRAPPING: &str = "Bootstrapping";
    /// Members are being added or taken out.
    pub const SCALING: &str = "Scaling";
    /// A partition goes on with what is left of it, as `spec.recovery` says.
    pub const RECOVERING: &str = "Recovering";
    /// Pods are being replaced one at a time.
    pub const ROLLING: &str = "Rolling";
    /// Some members do not answer.
    pub const MEMBERS_MISSING: &str = "MembersMissing";
    /// Something keeps pods from running: the message says what, and of which.
    pub const PODS_BLOCKED: &str = "PodsBlocked";
    /// Some members have stopped, and say why.
    pub const MEMBERS_FAILED: &str = "MembersFailed";
    /// Some members cannot save a snapshot of their state, or receive one that they need: the message says why.
    pub const SNAPSHOTS_FAILED: &str = "SnapshotsFailed";
    /// The majority of some partition does not come back by itself: the message says what is left to do.
    pub const MAJORITY_LOST: &str = "MajorityLost";
    /// The API server refuses what the operator has to write.
    pub const CANNOT_WRITE: &str = "CannotWrite";
    /// Some partition has no leader.
    pub const NO_LEADER: &str = "NoLeader";
    /// Some partition has no majority.
    pub const NO_QUORUM: &str = "NoQuorum";
    /// The spec breaks a rule, or asks for what this version does not have.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Somebody paused the group.
    pub const PAUSED_BY_SPEC: &str = "PausedBySpec";
    /// The spec wants nothing to be encrypted.
    pub const PLAIN_TEXT: &str = "PlainText";
    /// The certificates that there are, or are to come, are not fit; those that were in use stay.
    pub const CERTIFICATE_REFUSED: &str = "CertificateRefused";
    /// The group that a primitive names does not exist.
    pub const GROUP_NOT_FOUND: &str = "GroupNotFound";
    /// The group that a primitive names does not serve.
    pub const GROUP_NOT_READY: &str = "GroupNotReady";
    /// The name of the primitive belongs to a primitive of another kind.
    pub const NAME_TAKEN: &str = "NameTaken";
}
