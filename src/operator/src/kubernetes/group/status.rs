//! The last stage: what is said of a group. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use synod_api::conditions::{self, reasons};
use synod_api::{
    MemberRole, MemberStatus, PartitionGroup, PartitionGroupStatus, PartitionPhase, PartitionStatus,
    RecoverySpec, TlsType, labels,
};
use synod_proto::controller::v1 as wire;

use super::super::condition::{Said, merge};
use super::Scope;
use super::certificates::Certificates;
use super::dereference::Found;
use super::observe::Seen;
use super::plan::{Plan, Roll};
use super::trouble::trouble;
use crate::controller::{GroupView, PartitionView};
use crate::membership::{Action, CAUGHT_UP_ENTRIES, Replica, Step, ailing, majority_answers};
use crate::message::{self, Problem, listed, tell};

/// Everything that a status is made from.
pub(super) struct Report<'a> {
    pub(super) scope: &'a Scope,
    pub(super) group: &'a PartitionGroup,
    pub(super) found: &'a [Found],
    pub(super) seen: &'a [Seen],
    pub(super) plans: &'a [Plan],
    pub(super) certificates: &'a Certificates,
    /// What is wrong with the spec.
    pub(super) rejected: Option<String>,
    /// What the API server refused.
    pub(super) refused: Option<String>,
    pub(super) now: Timestamp,
}

impl Report<'_> {
    /// The status, as it should be now.
    pub(super) fn status(&self) -> PartitionGroupStatus {
        let spec = &self.group.spec;
        let before = self.group.status.clone().unwrap_or_default();
        let (view, problems) = self.view();
        let partitions: Vec<_> = view
            .partitions
            .iter()
            .enumerate()
            .map(|(position, partition)| self.partition(position, partition, before.partitions.get(position)))
            .collect();
        let versions = self.seen.iter().flat_map(|seen| seen.versions.values());
        let mut status = PartitionGroupStatus {
            observed_generation: self.group.metadata.generation,
            selector: labels::pod_selector(&self.scope.name),
            version: versions.min().cloned(),
            ca_pem: self.certificates.ca_pem.clone(),
            partitions,
            ..PartitionGroupStatus::default()
        };
        status.count(spec.partitions);
        let said = self.conditions(view.ready, &problems, &status.partitions);
        status.conditions = merge(&before.conditions, said, self.group.metadata.generation, self.now);
        status
    }

    /// The group as clients see it, and what is the matter with it.
    fn view(&self) -> (wire::Group, Vec<Problem>) {
        let partitions = self.seen.iter().zip(self.plans);
        let view = GroupView {
            namespace: &self.scope.namespace,
            name: &self.scope.name,
            protocol: String::new(),
            replicas: self.group.spec.replicas,
            slots: 0,
            partitions: partitions
                .map(|(seen, plan)| PartitionView { observation: &seen.observation, step: &plan.step })
                .collect(),
        };
        let group = view.describe();
        let problems = view.problems(&group.partitions);
        (group, problems)
    }

    fn partition(
        &self,
        position: usize,
        view: &wire::Partition,
        before: Option<&PartitionStatus>,
    ) -> PartitionStatus {
        let genesis = self.found.get(position).and_then(|found| found.genesis.as_ref().ok()?.as_ref());
        let born = genesis
            .and_then(|genesis| Timestamp::from_millisecond(i64::try_from(genesis.born_ms).ok()?).ok());
        let bootstrapped_at =
            before.and_then(|before| before.bootstrapped_at.clone()).or(born.map(whole_seconds));
        PartitionStatus {
            id: view.id,
            phase: self.phase(position, view, before, bootstrapped_at.is_some()),
            leader: (view.leader != 0).then(|| view.leader.to_string()),
            term: view.term,
            members: view.members.iter().map(|member| self.member(position, member)).collect(),
            bootstrapped_at,
            recovered_from: self.recovered_from(view, before),
        }
    }

    /// Who the partition has gone on with: it was a member under the id that the spec names while the majority was lost, and
    /// is none any more as far as those know who answer. It says so before anybody leads, because nobody is known under that
    /// id in the next look.
    fn recovered_from(&self, view: &wire::Partition, before: Option<&PartitionStatus>) -> Option<String> {
        let is_this = |recovery: &&RecoverySpec| recovery.partition == view.id;
        let named = self.group.spec.recovery.iter().find(is_this).map(|recovery| &recovery.survivor);
        let lost = before.filter(|before| before.phase == PartitionPhase::QuorumLost);
        let was =
            |id: &&String| lost.is_some_and(|before| before.members.iter().any(|member| member.id == **id));
        let answers = view.members.iter().any(|member| member.ready);
        let is_gone = |id: &&String| answers && view.members.iter().all(|it| it.id.to_string() != **id);
        let done = named.filter(|id| was(id) && is_gone(id)).cloned();
        done.or_else(|| before.and_then(|before| before.recovered_from.clone()))
    }

    fn phase(
        &self,
        position: usize,
        view: &wire::Partition,
        before: Option<&PartitionStatus>,
        has_begun: bool,
    ) -> PartitionPhase {
        let is_young = before.is_none_or(|before| {
            matches!(before.phase, PartitionPhase::Pending | PartitionPhase::Bootstrapping)
        });
        let elects = self.seen.get(position).is_some_and(|seen| majority_answers(&seen.observation));
        match (view.leader != 0, has_begun) {
            (true, _) => PartitionPhase::Serving,
            (false, false) => PartitionPhase::Pending,
            (false, true) if is_young => PartitionPhase::Bootstrapping,
            (false, true) if elects => PartitionPhase::Electing,
            (false, true) => PartitionPhase::QuorumLost,
        }
    }

    fn member(&self, position: usize, member: &wire::Member) -> MemberStatus {
        let prefix = format!("{}/", self.scope.namespace);
        let name = member.node.strip_prefix(&prefix).unwrap_or(&member.node);
        let pod_trouble = self.found.get(position).and_then(|found| {
            let place =
                found.places.iter().find(|place| self.scope.node(found.id, place.ordinal) == member.node);
            trouble(place?, self.now)
        });
        let message = Some(member.message.clone()).filter(|message| !message.is_empty());
        let versions = self.seen.get(position).map(|seen| &seen.versions);
        MemberStatus {
            id: member.id.to_string(),
            node: name.to_owned(),
            role: match member.role() {
                wire::Role::Unspecified => MemberRole::Unknown,
                wire::Role::Leader => MemberRole::Leader,
                wire::Role::Follower => MemberRole::Follower,
                wire::Role::Candidate => MemberRole::Candidate,
                wire::Role::Learner => MemberRole::Learner,
            },
            ready: member.ready,
            // Under load it changes all the time, which is no reason to write.
            lag: if member.lag > CAUGHT_UP_ENTRIES { member.lag } else { 0 },
            version: versions.and_then(|versions| versions.get(&member.node)).cloned(),
            endpoint: Some(member.endpoint.clone()).filter(|endpoint| !endpoint.is_empty()),
            message: message.map(|message| pod_trouble.unwrap_or(message)),
        }
    }

    fn conditions(&self, is_ready: bool, problems: &[Problem], partitions: &[PartitionStatus]) -> Vec<Said> {
        let ailing = self.ailing();
        // What keeps a pod from running comes first, then what keeps members from catching up.
        let lead = self.blocked(partitions).unwrap_or_default();
        let message = tell(&lead, &[ailing.as_slice(), problems].concat());
        let reason = self.reason(partitions);
        let lost: Vec<_> = partitions
            .iter()
            .filter(|partition| partition.phase == PartitionPhase::QuorumLost)
            .map(|partition| partition.id.to_string())
            .collect();
        let ready = if is_ready {
            Said::new(conditions::READY, true, reasons::AS_DECLARED, "every member serves")
        } else {
            Said::new(conditions::READY, false, reason, message.clone())
        };
        let ready = match &self.certificates.problem {
            // Nothing else keeps those replicas from starting.
            Some(problem) if !self.certificates.uncertified.is_empty() => {
                Said::new(conditions::READY, false, reasons::CERTIFICATE_REFUSED, shortened(problem))
            }
            _ => ready,
        };
        let degraded = match &self.refused {
            Some(refused) => Said::new(conditions::DEGRADED, true, reasons::CANNOT_WRITE, shortened(refused)),
            None if !is_ready && serves(partitions) => Said::new(conditions::DEGRADED, true, reason, message),
            None if is_ready && !ailing.is_empty() => {
                Said::new(conditions::DEGRADED, true, reasons::SNAPSHOTS_FAILED, tell("", &ailing))
            }
            None => Said::new(conditions::DEGRADED, false, reasons::AS_DECLARED, ""),
        };
        let quorum_lost = if lost.is_empty() {
            Said::new(conditions::QUORUM_LOST, false, reasons::AS_DECLARED, "")
        } else {
            let which = format!("partitions without a majority: {}", listed(&lost));
            Said::new(conditions::QUORUM_LOST, true, reason, tell(&which, problems))
        };
        let rejected = match &self.rejected {
            Some(why) => Said::new(conditions::SPEC_REJECTED, true, reasons::INVALID_SPEC, shortened(why)),
            None => Said::new(conditions::SPEC_REJECTED, false, reasons::AS_DECLARED, ""),
        };
        let paused = if self.group.spec.paused {
            let what = "nothing is changed while spec.paused is true";
            Said::new(conditions::PAUSED, true, reasons::PAUSED_BY_SPEC, what)
        } else {
            Said::new(conditions::PAUSED, false, reasons::AS_DECLARED, "")
        };
        let certified = self.certified();
        vec![ready, self.progressing(partitions), degraded, quorum_lost, certified, rejected, paused]
    }

    /// What ails members that have not stopped.
    fn ailing(&self) -> Vec<Problem> {
        let each = self.found.iter().zip(self.seen);
        let told = each.filter_map(|(found, seen)| {
            let (what, next) = ailing(&seen.observation)?;
            Some(Problem { partition: found.id.get(), what, next: Some(next.to_owned()) })
        });
        told.collect()
    }

    fn certified(&self) -> Said {
        let said = |is_so, reason, message: &str| {
            Said::new(conditions::CERTIFICATES_READY, is_so, reason, shortened(message))
        };
        let Certificates { problem, uncertified, .. } = self.certificates;
        match problem {
            _ if self.group.spec.security.tls.tls_type == TlsType::PlainText => {
                said(true, reasons::PLAIN_TEXT, "nothing is encrypted, because the spec says so")
            }
            Some(problem) if uncertified.is_empty() => {
                said(false, reasons::CERTIFICATE_REFUSED, &format!("{problem}; the last fit one serves on"))
            }
            Some(problem) => said(false, reasons::CERTIFICATE_REFUSED, problem),
            None if uncertified.is_empty() => {
                said(true, reasons::AS_DECLARED, "every replica has a certificate that is fit")
            }
            None => said(false, reasons::BOOTSTRAPPING, "the certificates are not made yet"),
        }
    }

    fn progressing(&self, partitions: &[PartitionStatus]) -> Said {
        let of_plan = |(found, plan): (&Found, &Plan)| {
            let (reason, what) = match (&plan.step, &plan.roll) {
                (Step::Begin { .. }, _) => (reasons::BOOTSTRAPPING, "it begins"),
                (Step::Act { action: Action::Recover { .. }, reason }, _) => {
                    (reasons::RECOVERING, reason.as_str())
                }
                (Step::Act { reason, .. }, _) if is_young(partitions) => {
                    (reasons::BOOTSTRAPPING, reason.as_str())
                }
                (Step::Act { reason, .. }, _) => (reasons::SCALING, reason.as_str()),
                (_, Roll::Replace { reason, .. } | Roll::HandOver { reason, .. } | Roll::Wait(reason)) => {
                    (reasons::ROLLING, reason.as_str())
                }
                _ => return None,
            };
            Some((reason, format!("partition {}: {what}", found.id)))
        };
        if let Some((reason, what)) = self.found.iter().zip(self.plans).find_map(of_plan) {
            return Said::new(conditions::PROGRESSING, true, reason, shortened(&what));
        }
        match is_young(partitions) {
            true => Said::new(conditions::PROGRESSING, true, reasons::BOOTSTRAPPING, "the partitions begin"),
            false => Said::new(conditions::PROGRESSING, false, reasons::AS_DECLARED, ""),
        }
    }

    /// Why the group is not ready, in one word: the worst first.
    fn reason(&self, partitions: &[PartitionStatus]) -> &'static str {
        let is_any = |phase| partitions.iter().any(|partition| partition.phase == phase);
        let rolls = self.plans.iter().any(|plan| plan.roll != Roll::Nothing);
        let acts = self.plans.iter().any(|plan| matches!(plan.step, Step::Act { .. }));
        let is_lost = |(partition, plan): (&PartitionStatus, &Plan)| {
            partition.phase == PartitionPhase::QuorumLost && matches!(plan.step, Step::Stuck { .. })
        };
        let mut nodes = self.seen.iter().flat_map(|seen| &seen.observation.nodes);
        if partitions.iter().zip(self.plans).any(is_lost) {
            reasons::MAJORITY_LOST
        } else if is_any(PartitionPhase::QuorumLost) {
            reasons::NO_QUORUM
        } else if nodes.any(|node| matches!(node.replica, Replica::Failed { .. } | Replica::Stalled { .. })) {
            reasons::MEMBERS_FAILED
        } else if self.blocked(partitions).is_some() {
            reasons::PODS_BLOCKED
        } else if !self.ailing().is_empty() {
            reasons::SNAPSHOTS_FAILED
        } else if is_young(partitions) {
            reasons::BOOTSTRAPPING
        } else if is_any(PartitionPhase::Electing) {
            reasons::NO_LEADER
        } else if rolls {
            reasons::ROLLING
        } else if acts {
            reasons::SCALING
        } else {
            reasons::MEMBERS_MISSING
        }
    }

    /// What keeps a pod from running while some member is not ready.
    fn blocked(&self, partitions: &[PartitionStatus]) -> Option<String> {
        let mut members = partitions.iter().flat_map(|partition| &partition.members);
        let mut pods = self.found.iter().flat_map(|found| &found.places);
        members.any(|member| !member.ready).then(|| pods.find_map(|place| trouble(place, self.now))).flatten()
    }
}

fn is_young(partitions: &[PartitionStatus]) -> bool {
    partitions
        .iter()
        .any(|partition| matches!(partition.phase, PartitionPhase::Pending | PartitionPhase::Bootstrapping))
}

fn serves(partitions: &[PartitionStatus]) -> bool {
    partitions.iter().all(|partition| partition.phase == PartitionPhase::Serving)
}

/// Times in a status have whole seconds; one that had more would never be equal to what is read back.
fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

pub(super) fn shortened(text: &str) -> String {
    message::shortened(text, message::BYTES_MAX)
}

/// Which partitions have gone on alone just now, and with whom.
pub(super) fn recovered(
    before: Option<&PartitionGroupStatus>,
    after: &PartitionGroupStatus,
) -> Vec<(u32, String)> {
    let known = before.map_or(&[][..], |before| &before.partitions);
    let is_news = |partition: &&PartitionStatus| {
        let last = known.iter().find(|last| last.id == partition.id);
        last.is_some_and(|last| last.recovered_from != partition.recovered_from)
    };
    let news = after.partitions.iter().filter(is_news);
    news.filter_map(|partition| Some((partition.id, partition.recovered_from.clone()?))).collect()
}

/// Whether something changed that people want to know: the answer to one of the questions, or the reason.
pub(super) fn news(before: Option<&PartitionGroupStatus>, after: &PartitionGroupStatus) -> Vec<Condition> {
    let known = before.map_or(&[][..], |before| &before.conditions);
    let is_news = |condition: &&Condition| {
        let last = known.iter().find(|last| last.type_ == condition.type_);
        match last {
            Some(last) => (&last.status, &last.reason) != (&condition.status, &condition.reason),
            None => condition.status == "True",
        }
    };
    after.conditions.iter().filter(is_news).cloned().collect()
}

#[cfg(test)]
mod tests;
