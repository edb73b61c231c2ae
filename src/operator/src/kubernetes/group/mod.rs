//! `PartitionGroup`s: kept as they are declared.
//!
//! ```text
//!   dereference ──► certify ──► observe ──► plan ──► build ──► apply, act ──► status
//!   (the cache,    (Secrets)   (the nodes)  (pure)   (pure)   (API server,    (pure)
//!     events)                                                  nodes)
//! ```
//!
//! Invariants:
//! - The stages between looking and acting are pure. Acting takes at most one step of each partition.
//! - Nothing is remembered from one look to the next but connections, and for seconds what events said: whoever acts next
//!   goes on from what is there.
//! - How a partition begins is decided by creating an object, before any node is told.
//! - A spec that cannot be had changes nothing: the group serves on as it was.

mod act;
mod birth;
mod build;
mod certificates;
mod complaints;
mod dereference;
mod observe;
mod plan;
mod status;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action as Next;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;
use synod_api::{PartitionGroup, PartitionGroupStatus, conditions, names};
use synod_types::{Limits, MemberId, PartitionId};

use self::act::Task;
use self::birth::{Birth, BirthError};
use self::build::PartitionSize;
use self::certificates::Certificates;
pub(super) use self::complaints::Complaints;
use self::dereference::{Found, dereference};
pub(super) use self::observe::Connections;
use self::observe::{Seen, observe};
use self::plan::{Asked, Plan, Roll, plan};
use self::status::Report;
use super::apply::{ApplyError, Writer};
use super::backoff::jittered;
use super::cache::Cache;
use crate::membership::{Genesis, Step};

/// Where a replica serves clients and operators.
const CLIENT_PORT: u16 = 5678;
/// Where a replica serves other replicas.
const PEER_PORT: u16 = 5680;
/// Where a replica serves metrics and health.
const METRICS_PORT: u16 = 9090;

/// When to look again after something was done: soon, because more is to be done.
const AFTER_STEP: Duration = Duration::from_millis(50);
/// When to look again while something is expected to change by itself.
const UNSETTLED: Duration = Duration::from_millis(500);
/// When to look again at a group that is as declared: nodes tell nobody when their leader changes.
const SETTLED: Duration = Duration::from_secs(10);

/// What all groups share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) cache: Arc<Cache>,
    pub(super) connections: Connections,
    pub(super) complaints: Complaints,
    pub(super) recorder: Recorder,
    /// The image of replicas whose group names none.
    pub(super) image: String,
}

/// Why a group could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(super) enum GroupError {
    /// How a partition begins could not be remembered.
    #[error(transparent)]
    Birth(#[from] BirthError),
    /// An object could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The limits of the group are none.
    #[error(transparent)]
    Genesis(#[from] synod_types::Error),
    /// The status could not be written.
    #[error("the status cannot be written: {0}")]
    Status(#[source] kube::Error),
}

/// Which group this is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    namespace: String,
    name: String,
    uid: String,
}

impl Scope {
    fn of(group: &PartitionGroup) -> Self {
        Self {
            namespace: group.namespace().unwrap_or_default(),
            name: group.name_any(),
            uid: group.uid().unwrap_or_default(),
        }
    }

    /// The group as its nodes know it.
    fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name of a node. It holds the namespace, so that no node is ever taken for one of another namespace.
    fn node(&self, partition: PartitionId, ordinal: u32) -> String {
        format!("{}/{}", self.namespace, names::pod(&self.name, partition, ordinal))
    }
}

/// Looks after a group once.
///
/// # Errors
/// What keeps it from being as declared, and is to be tried again. The status says so, too.
pub(super) async fn reconcile(group: Arc<PartitionGroup>, context: Arc<Context>) -> Result<Next, GroupError> {
    let scope = Scope::of(&group);
    if group.metadata.deletion_timestamp.is_some() {
        // What belongs to it goes with it.
        context.connections.forget(&scope.namespace, &scope.name);
        return Ok(Next::await_change());
    }
    let mut found = dereference(&context.cache, &group);
    complaints::note(&context.client, &context.complaints, &scope, &mut found).await;
    let problems: Vec<_> = group.validate().iter().map(ToString::to_string).collect();
    let rejected = Some(problems.join("; ")).filter(|problems| !problems.is_empty());
    let is_quiet = group.spec.paused || rejected.is_some();
    let now = Timestamp::now();
    let mut certificates = certificates::keep(&context, &scope, &group, is_quiet, now.as_second()).await;
    let seen = observe(&scope, &context.connections, &found, &certificates).await;
    let mut plans = plan_all(&scope, &group, &found, &seen);
    let begun = if is_quiet { Ok(()) } else { begin(&context, &group, &mut found, &seen, &plans).await };
    if begun.is_ok() {
        plans = plan_all(&scope, &group, &found, &seen);
    }
    let outcome = match begun {
        Ok(()) if is_quiet => Ok(false),
        Ok(()) => {
            let look = Look { found: &found, seen: &seen, plans: &plans, certificates: &certificates };
            write_and_act(&context, &scope, &group, look).await
        }
        Err(error) => Err(error),
    };
    let outcome = match certificates.refused.take() {
        Some(refused) if outcome.is_ok() => Err(refused.into()),
        _ => outcome,
    };
    let report = Report {
        scope: &scope,
        group: &group,
        found: &found,
        seen: &seen,
        plans: &plans,
        certificates: &certificates,
        rejected,
        refused: outcome.as_ref().err().map(ToString::to_string),
        now: Timestamp::now(),
    };
    let is_said = publish(&context, &group, report.status()).await?;
    let acted = outcome?;
    // Nobody tells when what has changed meanwhile is no news to this operator.
    Ok(Next::requeue(if is_said { when(acted, &plans) } else { jittered(UNSETTLED) }))
}

fn when(acted: bool, plans: &[Plan]) -> Duration {
    let is_settled = |plan: &Plan| plan.step == Step::Nothing && plan.roll == Roll::Nothing;
    match (acted, plans.iter().all(is_settled)) {
        (true, _) => AFTER_STEP,
        (false, false) => jittered(UNSETTLED),
        (false, true) => jittered(SETTLED),
    }
}

fn plan_all(scope: &Scope, group: &PartitionGroup, found: &[Found], seen: &[Seen]) -> Vec<Plan> {
    let update = group.spec.update_policy.update_type;
    let known = group.status.as_ref().map_or(&[][..], |status| &status.partitions);
    let plan_one = |(found, seen): (&Found, &Seen)| {
        let is_this = |id: u32| id == found.id.get();
        let bootstrapped =
            known.iter().any(|partition| is_this(partition.id) && partition.bootstrapped_at.is_some());
        let recovery = group.spec.recovery.iter().find(|recovery| is_this(recovery.partition));
        let survivor = recovery.and_then(|recovery| recovery.survivor.parse().ok()).map(MemberId);
        plan(scope, found, &seen.observation, Asked { update, bootstrapped, survivor })
    };
    found.iter().zip(seen).map(plan_one).collect()
}

/// Decides how those partitions begin that are to, and takes note of it. If the note of one that serves was deleted, another
/// one says that it has begun, with members that nobody knows any more: it must never begin again.
async fn begin(
    context: &Context,
    group: &PartitionGroup,
    found: &mut [Found],
    seen: &[Seen],
    plans: &[Plan],
) -> Result<(), GroupError> {
    let scope = Scope::of(group);
    let owner = owner(group);
    let birth =
        Birth { client: &context.client, namespace: &scope.namespace, group: &scope.name, owner: &owner };
    for ((partition, plan), seen) in found.iter_mut().zip(plans).zip(seen) {
        let founders = match &plan.step {
            Step::Begin { founders } => founders.clone(),
            _ if partition.genesis == Ok(None) && seen.observation.leader().is_some() => Vec::new(),
            _ => continue,
        };
        let born_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let limits: Limits = group.spec.limits();
        let genesis = Genesis::new(founders, group.spec.partitions, &limits, born_ms)?;
        partition.genesis = Ok(Some(birth.decide(partition.id, &genesis).await?));
    }
    Ok(())
}

/// What was seen in one look, and what was concluded from it.
struct Look<'a> {
    found: &'a [Found],
    seen: &'a [Seen],
    plans: &'a [Plan],
    certificates: &'a Certificates,
}

/// Writes what differs, then takes the steps that were planned. Returns whether there were any.
async fn write_and_act(
    context: &Context,
    scope: &Scope,
    group: &PartitionGroup,
    Look { found, seen, plans, certificates }: Look<'_>,
) -> Result<bool, GroupError> {
    let sizes: Vec<_> = found.iter().zip(plans).map(|(found, plan)| size(found, plan)).collect();
    let mut objects = build::build(scope, &group.spec, &context.image, &sizes);
    // Their pods could not start, and would be tried again ever more rarely.
    let startable = found.iter().map(|found| !certificates.uncertified.contains(&found.id));
    let mut startable = startable.collect::<Vec<_>>().into_iter();
    objects.sets.retain(|_| startable.next().unwrap_or(true));
    let writer = Writer {
        client: context.client.clone(),
        field_manager: names::PARTITION_GROUP_FIELD_MANAGER,
        namespace: scope.namespace.clone(),
        owner: owner(group),
    };
    let applied = act::apply(&writer, &context.cache, objects).await;
    let grown = act::grow(&context.client, scope, found, &group.spec.storage.size).await;
    let tasks: Vec<_> =
        found.iter().zip(seen).zip(plans).map(|((found, seen), plan)| Task { found, seen, plan }).collect();
    // Members are looked after even if some object cannot be written.
    let acted = act::act(&context.client, scope, &tasks).await;
    applied?;
    grown?;
    Ok(acted)
}

fn size(found: &Found, plan: &Plan) -> PartitionSize {
    let claimed = found.set.as_ref().and_then(|set| {
        let templates = set.spec.volume_claim_templates.as_ref()?;
        let requests = templates.first()?.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        requests.get("storage").map(|size| size.0.clone())
    });
    PartitionSize { id: found.id, pods: plan.pods, claimed }
}

fn owner(group: &PartitionGroup) -> OwnerReference {
    group.controller_owner_ref(&()).unwrap_or_default()
}

/// Writes the status, if it says anything new, and tells the events that people want to know. False if somebody changed the
/// group meanwhile, or it is no more: nothing is written then.
async fn publish(
    context: &Context,
    group: &PartitionGroup,
    status: PartitionGroupStatus,
) -> Result<bool, GroupError> {
    if group.status.as_ref() == Some(&status) {
        return Ok(true);
    }
    let news = status::news(group.status.as_ref(), &status);
    let api: Api<PartitionGroup> =
        Api::namespaced(context.client.clone(), &group.namespace().unwrap_or_default());
    // With the version that was read: what was concluded from an old status must not replace a newer one.
    let patch = json!({
        "apiVersion": synod_api::API_VERSION,
        "kind": PartitionGroup::kind(&()),
        "metadata": {"resourceVersion": group.resource_version()},
        "status": status,
    });
    let parameters = PatchParams::apply(names::PARTITION_GROUP_FIELD_MANAGER).force();
    match api.patch_status(&group.name_any(), &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => return Ok(false),
        Err(error) => return Err(GroupError::Status(error)),
    }
    let lost = status::recovered(group.status.as_ref(), &status);
    let lost = lost.into_iter().map(|(partition, survivor)| Event {
        type_: EventType::Warning,
        reason: "Recovered".to_owned(),
        note: Some(format!(
            "partition {partition} has gone on alone with what member {survivor} had, as spec.recovery said: what never \
             reached it is lost"
        )),
        action: "Recover".to_owned(),
        secondary: None,
    });
    for event in news.into_iter().map(event_of).chain(lost) {
        // An event that is lost is no reason to do anything again.
        if let Err(error) = context.recorder.publish(&event, &group.object_ref(&())).await {
            tracing::debug!(%error, "an event was not taken");
        }
    }
    Ok(true)
}

/// What is told of a condition that has changed.
fn event_of(condition: Condition) -> Event {
    let is_wish = matches!(condition.type_.as_str(), conditions::READY | conditions::CERTIFICATES_READY);
    let is_bad = is_wish != (condition.status == "True");
    let is_fact = matches!(condition.type_.as_str(), conditions::PROGRESSING | conditions::PAUSED);
    Event {
        type_: if is_bad && !is_fact { EventType::Warning } else { EventType::Normal },
        reason: condition.reason,
        note: Some(status::shortened(&format!(
            "{} is {}: {}",
            condition.type_, condition.status, condition.message
        ))),
        // Events that differ in their words alone are counted as one: those of two questions must not be.
        action: format!("Answer{}", condition.type_),
        secondary: None,
    }
}
