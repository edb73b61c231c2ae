//! Somebody else changes what the operator is about to write, or writes what is the operator's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use synod_api::{PartitionGroup, Primitive};
use tokio::time::Instant;

use crate::proxy::{Asked, Fate};
use crate::site::Site;

const GROUPS: &str = "/partitiongroups/";
const PRIMITIVES: &str = "/primitives/";

/// A status that could not be written is written soon after, and not at the next look at what is settled.
const SOON: Duration = Duration::from_secs(4);

/// How often somebody is still to change an object of a kind between the moment at which the operator has read it and that
/// at which it writes its status.
#[derive(Default)]
struct Disturbance {
    groups: AtomicUsize,
    primitives: AtomicUsize,
}

impl Disturbance {
    fn start(site: &Site) -> Arc<Self> {
        let disturbance = Arc::new(Self::default());
        let (client, shared) = (site.simulation.client.clone(), disturbance.clone());
        site.proxy.rule(move |asked| {
            let (client, shared) = (client.clone(), shared.clone());
            async move {
                let left = if asked.path.contains(GROUPS) { &shared.groups } else { &shared.primitives };
                let take = |left: usize| left.checked_sub(1);
                if is_status(&asked)
                    && let Ok(left) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                {
                    annotate(client, &asked, left).await;
                }
                Fate::Pass
            }
            .boxed()
        });
        disturbance
    }
}

fn is_status(asked: &Asked) -> bool {
    asked.writes() && asked.path.ends_with("/status")
}

/// Changes an object so that it has another version, and means the same.
async fn annotate(client: Client, asked: &Asked, value: usize) {
    let path = asked.path.strip_suffix("/status").unwrap();
    let [name, plural] = [0, 1].map(|index| path.rsplit('/').nth(index).unwrap());
    let resource = match plural {
        "partitiongroups" => ApiResource::erase::<PartitionGroup>(&()),
        _ => ApiResource::erase::<Primitive>(&()),
    };
    let api: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"somebody": value.to_string()}}}));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

/// How often the operator wrote a status of a kind, and how often that was refused.
fn statuses(site: &Site, kind: &str, since: Instant) -> (usize, usize) {
    let written = site.proxy.asked_since(since, |asked| is_status(asked) && asked.path.contains(kind));
    let refused = written.iter().filter(|asked| asked.answer.is_some_and(|answer| answer == 409)).count();
    (written.len(), refused)
}

fn a_status_is_written_although_somebody_was_faster(site: &Site) {
    let disturbance = Disturbance::start(site);
    site.declare_primitive("users");
    site.eventually("the primitive waits for its group", || site.primitives_are("GroupNotFound"));
    let began = Instant::now();
    disturbance.groups.store(5, Ordering::Relaxed);
    disturbance.primitives.store(usize::MAX, Ordering::Relaxed);
    site.declare_group();
    site.eventually("the group is ready", || site.group_has(3) && statuses(site, GROUPS, began).1 >= 5);
    let (written, refused) = statuses(site, GROUPS, began);
    assert!(written < 40, "{written} written, {refused} refused");

    // Once the primitive exists nothing more is to be done about it, but for saying so.
    site.eventually("the primitive is created", || !site.simulation.members.take_created().is_empty());
    let created = Instant::now();
    site.eventually("its status is refused", || statuses(site, PRIMITIVES, created).1 > 0);
    disturbance.primitives.store(0, Ordering::Relaxed);
    let took = site.eventually("the primitive exists", || site.primitives_are("AsDeclared"));
    assert!(took < SOON, "the primitive: {took:?}");
    let (written, _) = statuses(site, PRIMITIVES, began);
    assert!(written < 20, "{written}");

    // Of a group that is settled, only the status has to follow.
    let changed = Instant::now();
    disturbance.groups.store(2, Ordering::Relaxed);
    site.change_group(json!({"spec": {"updatePolicy": {"type": "OnDelete"}}}));
    let took = site.eventually("the status of the group follows", || site.group_has(3));
    assert!(statuses(site, GROUPS, changed).1 >= 2);
    assert!(took < SOON, "the group: {took:?}");
    site.nothing_is_written();
}

/// Applies fields as somebody else would, who insists.
fn insist<K>(site: &Site, name: &str, round: usize, spec: &Value)
where
    K: Resource<DynamicType = ()>,
{
    let kind = ApiResource::erase::<K>(&());
    let object = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"annotations": {"somebody": round.to_string()}},
        "spec": spec,
    });
    let client = site.simulation.client.clone();
    let api: Api<DynamicObject> = Api::default_namespaced_with(client, &kind);
    let parameters = PatchParams::apply("somebody").force();
    site.simulation.runtime.block_on(api.patch(name, &parameters, &Patch::Apply(&object))).unwrap();
}

/// Somebody takes fields over that are the operator's, and has some of his own.
fn the_operator_takes_back_what_is_its_own(site: &Site) {
    let began = Instant::now();
    let rounds = 5;
    for round in 0..rounds {
        insist::<StatefulSet>(site, "sample-p0", round, &json!({"replicas": 1}));
        insist::<PodDisruptionBudget>(site, "sample-p0", round, &json!({"maxUnavailable": 0}));
        let other = json!({"selector": {"app.kubernetes.io/name": "other"}});
        insist::<Service>(site, "sample", round, &other);
        site.eventually("the objects are as declared", || {
            let set = site.plane.find("statefulset/sample-p0").unwrap();
            let budget = site.plane.find("poddisruptionbudget/sample-p0").unwrap();
            let service = site.plane.find("service/sample").unwrap();
            assert_eq!(
                service["metadata"]["annotations"]["somebody"],
                format!("{round}"),
                "this is not the operator's"
            );
            set["spec"]["replicas"] == 3
                && budget["spec"]["maxUnavailable"] == 1
                && service["spec"]["selector"]["app.kubernetes.io/name"] != "other"
        });
    }
    site.eventually("the group is ready", || site.group_has(3));
    site.nothing_is_written();
    let objects = ["statefulsets", "poddisruptionbudgets", "services"];
    let is_object = |asked: &Asked| asked.writes() && objects.iter().any(|kind| asked.path.contains(kind));
    let written = site.proxy.asked_since(began, is_object);
    // One for each object that somebody wrote; two if that was seen before the answer to the last was.
    assert!(
        written.len() <= objects.len() * rounds * 2,
        "{:#?}",
        written.iter().map(Asked::what).collect::<Vec<_>>()
    );
}

#[test]
fn whoever_else_writes_the_end_is_right_and_the_operator_writes_little() {
    let site = Site::start();
    a_status_is_written_although_somebody_was_faster(&site);
    site.proxy.decide(|_| Fate::Pass);
    the_operator_takes_back_what_is_its_own(&site);
}
