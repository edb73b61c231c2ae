//! The CEL rules of a group. Each has its cases in `testdata/partition_group_rules.yaml`.

use kube::core::Rule;
use synod_types::Limits;

use super::spec::{MEMBERS_MAX, REPLICAS_MAX};
use crate::names::{GROUP_NAME_MAX, GROUP_NAME_PATTERN, PARTITION_NAME_PATTERN};
use crate::rule::{rule, rule_with};

/// The smallest volume: the log, the snapshots and what they need while they are written.
const SIZE_MIN: &str = "1Gi";

pub(super) fn name_leaves_room() -> Rule {
    rule_with(
        format!("size(self.metadata.name) <= {GROUP_NAME_MAX}"),
        &format!(
            "metadata.name has %d characters: use at most {GROUP_NAME_MAX}, because the names of pods and Services are \
             made from it"
        ),
        &["size(self.metadata.name)"],
    )
}

pub(super) fn name_fits_service() -> Rule {
    rule_with(
        format!("self.metadata.name.matches('{GROUP_NAME_PATTERN}')"),
        "metadata.name is \"%s\", which cannot name a Service: use lower-case letters, digits and inner dashes, and \
         begin with a letter",
        &["self.metadata.name"],
    )
}

pub(super) fn name_is_no_partition() -> Rule {
    rule_with(
        format!("!self.metadata.name.matches('{PARTITION_NAME_PATTERN}')"),
        "metadata.name is \"%s\", and names that end in -p<number> or -p<number>-peers belong to the partitions of \
         another group: use another name",
        &["self.metadata.name"],
    )
}

/// Numbers beyond the bounds of the field are left to the bounds.
pub(super) fn raft_has_odd_replicas() -> Rule {
    rule_with(
        format!(
            "self.protocol.type != 'Raft' || self.replicas % 2 == 1 || self.replicas < 1 || self.replicas > \
             {REPLICAS_MAX}"
        ),
        "%d replicas survive no more failures than %d, so Raft wants an odd number: use %d or %d",
        &["self.replicas", "self.replicas - 1", "self.replicas - 1", "self.replicas + 1"],
    )
    .field_path(".replicas")
}

pub(super) fn members_fit_status() -> Rule {
    rule_with(
        format!("self.partitions * self.replicas <= {MEMBERS_MAX}"),
        &format!(
            "%d partitions of %d replicas are %d members: use at most {MEMBERS_MAX} in one group, and more groups beyond"
        ),
        &["self.partitions", "self.replicas", "self.partitions * self.replicas"],
    )
    .field_path(".partitions")
}

pub(super) fn partitions_stay() -> Rule {
    rule_with(
        "self == oldSelf",
        "the number of partitions cannot be changed: leave it at %d, or create another group",
        &["oldSelf"],
    )
}

pub(super) fn survivor_is_member_id() -> Rule {
    rule_with(
        "self.matches('^[1-9][0-9]*$')",
        "\"%s\" is not the id of a member: write the number that the condition QuorumLost gives, in quotes",
        &["self"],
    )
}

pub(super) fn protocol_exists() -> Rule {
    rule_with("self.type == 'Raft'", "protocol %s is not available yet: use Raft", &["self.type"])
        .field_path(".type")
}

pub(super) fn raft_options_go_with_raft() -> Rule {
    rule_with(
        "!has(self.raft) || self.type == 'Raft'",
        "options of Raft do not go with protocol %s: remove them, or use type Raft",
        &["self.type"],
    )
    .field_path(".raft")
}

pub(super) fn protocol_stays() -> Rule {
    rule_with(
        "self == oldSelf",
        "the protocol cannot be changed: leave it at %s, or create another group",
        &["oldSelf"],
    )
}

pub(super) fn heartbeats_fit_election_timeout() -> Rule {
    rule_with(
        "self.electionTimeoutMs >= 5 * self.heartbeatMs",
        "%d is too short, as one late heartbeat must not end a term: use at least 5 times heartbeatMs, which is %d",
        &["self.electionTimeoutMs", "5 * self.heartbeatMs"],
    )
    .field_path(".electionTimeoutMs")
}

pub(super) fn durability_exists() -> Rule {
    rule_with("self == 'Quorum'", "durability %s is not available yet: use Quorum", &["self"])
}

pub(super) fn size_is_quantity() -> Rule {
    rule_with(is_size("self"), "\"%s\" is no size: use a number with a unit, as in 10Gi", &["self"])
}

pub(super) fn size_is_enough() -> Rule {
    rule_with(
        format!("!{} || quantity(self).compareTo(quantity('{SIZE_MIN}')) >= 0", is_size("self")),
        &format!("%s is too small: use at least {SIZE_MIN}"),
        &["self"],
    )
}

pub(super) fn size_only_grows() -> Rule {
    let (new, old) = (is_size("self"), is_size("oldSelf"));
    rule_with(
        format!("!{new} || !{old} || quantity(self).compareTo(quantity(oldSelf)) >= 0"),
        "%s is less than the volumes have, and volumes cannot shrink: use %s or more",
        &["self", "oldSelf"],
    )
}

/// The CEL expression for whether a text is a size: those quantities that somebody would write as one. Kubernetes also
/// takes exponents and signs, of which some make the evaluation outside of the API server overflow.
fn is_size(text: &str) -> String {
    format!("{text}.matches('^[0-9]{{1,15}}([.][0-9]{{1,3}})?([KMGTPE]i|[kMGTPE])?$')")
}

pub(super) fn storage_class_stays() -> Rule {
    rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || \
         self.storageClassName == oldSelf.storageClassName)",
        "the storage class cannot be changed: leave it as it was, or create another group",
    )
    .field_path(".storageClassName")
}

pub(super) fn request_holds_key_and_value() -> Rule {
    let default = Limits::default();
    let request = limit_or("requestBytes", default.request_bytes);
    let key = limit_or("keyBytes", default.key_bytes);
    let value = limit_or("valueBytes", default.value_bytes);
    rule_with(
        format!("{request} >= {key} + {value}"),
        "a request of %d bytes cannot hold the longest key and value: raise requestBytes to at least %d, or lower \
         valueBytes",
        &[&request, &format!("{key} + {value}")],
    )
    .field_path(".requestBytes")
}

/// The CEL expression for a limit as it takes effect.
fn limit_or(field: &str, default: u64) -> String {
    format!("(has(self.{field}) ? self.{field} : {default})")
}

pub(super) fn secret_goes_with_type() -> Rule {
    rule_with(
        "has(self.secretName) == (self.type == 'Secret')",
        "type %s: name a Secret with type Secret, and none with any other type",
        &["self.type"],
    )
    .field_path(".secretName")
}

pub(super) fn tls_stays() -> Rule {
    rule(
        "self == oldSelf",
        "how connections are encrypted cannot be changed: leave it as it was, or create another group",
    )
}

pub(super) fn labels_keep_off() -> Rule {
    rule(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('synod.dev/'))",
        "labels under app.kubernetes.io/ and synod.dev/ belong to the operator: use another prefix",
    )
}

pub(super) fn annotations_keep_off() -> Rule {
    rule(
        "self.all(key, !key.startsWith('synod.dev/'))",
        "annotations under synod.dev/ belong to the operator: use another prefix",
    )
}

pub(super) fn variables_keep_off() -> Rule {
    rule(
        "self.all(variable, !variable.name.startsWith('SYNOD_'))",
        "variables that begin with SYNOD_ belong to the operator: use another name",
    )
}
