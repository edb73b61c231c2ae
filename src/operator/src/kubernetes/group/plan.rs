//! The fourth stage: what to do next about a partition. Pure.
//!
//! Members come first: as long as anything is to be done about them, no pod is replaced, but for one that does not run
//! anyway.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use synod_api::UpdateType;
use synod_types::MemberId;

use super::Scope;
use super::dereference::{Found, Place};
use crate::membership::{
    Action, Genesis, Node, Observation, Replica, Restart, Step, majority_answers, may_leave, most_complete,
    plan as plan_members, plan_recovery, plan_restart,
};

/// The label by which a StatefulSet tells what a pod was made from.
const REVISION: &str = "controller-revision-hash";

/// What to do next about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// About its members.
    pub(super) step: Step,
    /// About its pods.
    pub(super) roll: Roll,
    /// How many pods it needs: those that are asked for, and those on whose members somebody counts.
    pub(super) pods: u32,
}

/// What to do next about pods that differ from what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roll {
    /// None differs, or somebody else replaces them.
    Nothing,
    /// Nothing, before something changes by itself. Why, for people.
    Wait(String),
    /// This one is to be replaced.
    Replace {
        /// The place of the pod.
        ordinal: u32,
        /// Why, for people.
        reason: String,
    },
    /// A leader is to hand over first.
    HandOver {
        /// How.
        action: Box<Action>,
        /// Why, for people.
        reason: String,
    },
}

/// A pod, as far as its replacement is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodState {
    pub(super) ordinal: u32,
    /// The name of its node.
    pub(super) node: String,
    pub(super) is_there: bool,
    pub(super) is_ready: bool,
    pub(super) is_outdated: bool,
}

/// What the spec says about one partition, and what is known of it from before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) update: UpdateType,
    /// It is known to have begun.
    pub(super) bootstrapped: bool,
    /// The member with which it is to go on, should the majority be lost.
    pub(super) survivor: Option<MemberId>,
}

/// What else can be done when a majority has lost its data.
const GO_ON: &str = "or go on with what the survivor has, and lose what was acknowledged after that: spec.recovery with the \
                     partition, its survivor and acceptDataLoss: AcknowledgedWritesMayBeLost";

/// Plans what is next.
pub(super) fn plan(scope: &Scope, found: &Found, observation: &Observation, asked: Asked) -> Plan {
    let Asked { update, bootstrapped, survivor } = asked;
    let genesis = match &found.genesis {
        Ok(genesis) => genesis.as_ref(),
        Err(problem) => return unreadable(found, problem),
    };
    let mut step = plan_members(observation, genesis);
    if genesis.is_none() && bootstrapped && matches!(step, Step::Begin { .. }) {
        step = Step::Stuck {
            problem: "the partition has begun once, and neither its data nor how it began can be found".to_owned(),
            next: "bring the volumes and the ConfigMap of the partition back; if there is no backup, delete the group \
                   and create it again, empty"
                .to_owned(),
        };
    }
    if matches!(step, Step::Stuck { .. } | Step::Wait(_)) && observation.leader().is_none() {
        step = leaderless(scope, found, observation, survivor, step);
    }
    let pods: Vec<_> = found.places.iter().map(|place| pod_state(scope, found, place)).collect();
    let roll = match update {
        UpdateType::Rolling => plan_roll(observation, &step, &pods),
        UpdateType::OnDelete => Roll::Nothing,
    };
    Plan { roll, pods: pods_needed(scope, found, observation, genesis), step }
}

/// What can be done when nobody leads: if the spec says so, the partition goes on with one member. Otherwise people are
/// told what is left, if nothing else helps.
fn leaderless(
    scope: &Scope,
    found: &Found,
    observation: &Observation,
    survivor: Option<MemberId>,
    step: Step,
) -> Step {
    if observation.running().next().is_none() || majority_answers(observation) {
        return step;
    }
    if let Some(survivor) = survivor {
        let place_of =
            |node: &Node| found.places.iter().find(|place| scope.node(found.id, place.ordinal) == node.name);
        return plan_recovery(observation, survivor, |node| place_of(node).is_some_and(Place::is_empty));
    }
    match (step, most_complete(observation)) {
        (Step::Stuck { problem, next }, Some((node, most))) => {
            let left = format!(
                "survivor \"{}\" on {} has entries up to {} of term {}, of which it knows {} to be committed",
                most.member, node.name, most.last, most.last_term, most.commit
            );
            Step::Stuck { problem: format!("{problem}; {left}"), next: format!("{next}; {GO_ON}") }
        }
        (step, _) => step,
    }
}

fn unreadable(found: &Found, problem: &str) -> Plan {
    let step = Step::Stuck {
        problem: problem.to_owned(),
        next: "until then the operator changes nothing about its members".to_owned(),
    };
    Plan { step, roll: Roll::Nothing, pods: count(&found.places) }
}

fn count(places: &[Place]) -> u32 {
    u32::try_from(places.len()).unwrap_or(u32::MAX)
}

/// Pods go from the last, as soon as nobody counts on their members.
fn pods_needed(scope: &Scope, found: &Found, observation: &Observation, genesis: Option<&Genesis>) -> u32 {
    let is_needed = |place: &&Place| {
        place.desired || !may_leave(observation, genesis, &scope.node(found.id, place.ordinal))
    };
    found.places.iter().rev().find(is_needed).map_or(0, |place| place.ordinal + 1)
}

fn pod_state(scope: &Scope, found: &Found, place: &Place) -> PodState {
    let pod = place.pod.as_deref().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    PodState {
        ordinal: place.ordinal,
        node: scope.node(found.id, place.ordinal),
        is_there: pod.is_some(),
        is_ready: pod.is_some_and(is_ready),
        is_outdated: pod.zip(found.set.as_deref()).is_some_and(|(pod, set)| is_outdated(pod, set)),
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod was made from another template than the set has now, as far as the set has noticed.
fn is_outdated(pod: &Pod, set: &StatefulSet) -> bool {
    let Some(status) = &set.status else { return false };
    let current =
        status.update_revision.as_ref().filter(|_| status.observed_generation == set.metadata.generation);
    matches!((current, pod.labels().get(REVISION)), (Some(current), Some(made_from)) if current != made_from)
}

/// Plans the next replacement of a pod: those that do not run anyway, then followers, the one that is furthest behind
/// first, the leader last. One at a time, and none before all others are ready.
fn plan_roll(observation: &Observation, step: &Step, pods: &[PodState]) -> Roll {
    let outdated: Vec<_> = pods.iter().filter(|pod| pod.is_outdated).collect();
    if outdated.is_empty() {
        return Roll::Nothing;
    }
    if let Some(gone) = pods.iter().find(|pod| !pod.is_there) {
        return Roll::Wait(format!("{} is being replaced", gone.node));
    }
    let runs = |pod: &PodState| {
        let node = observation.node(&pod.node);
        pod.is_ready || node.is_some_and(|node| node.replica != Replica::Unreachable)
    };
    if let Some(pod) = outdated.iter().find(|pod| !runs(pod)) {
        let reason = format!("{} does not run, and differs from the spec", pod.node);
        return Roll::Replace { ordinal: pod.ordinal, reason };
    }
    if *step != Step::Nothing {
        return Roll::Wait("the members come first".to_owned());
    }
    if let Some(pod) = pods.iter().find(|pod| !pod.is_ready) {
        return Roll::Wait(format!("{} is not ready", pod.node));
    }
    let leader = observation.leader();
    let order = |pod: &&&PodState| {
        let member =
            leader.and_then(|(_, leader)| leader.members.iter().find(|member| member.node == pod.node));
        let leads = member.map(|member| member.id) == leader.map(|(_, leader)| leader.member);
        (leads, member.map(|member| (member.matched, member.id)))
    };
    let Some(next) = outdated.iter().min_by_key(order) else { return Roll::Nothing };
    let is_current = |node: &str| pods.iter().any(|pod| pod.node == node && !pod.is_outdated);
    match plan_restart(observation, &next.node, is_current) {
        Restart::Now => {
            let reason = format!("{} differs from the spec", next.node);
            Roll::Replace { ordinal: next.ordinal, reason }
        }
        Restart::HandOverFirst(action) => Roll::HandOver {
            action: Box::new(action),
            reason: format!("{} leads and is to be replaced", next.node),
        },
        Restart::NotYet(why) => Roll::Wait(why),
    }
}

#[cfg(test)]
mod tests;
