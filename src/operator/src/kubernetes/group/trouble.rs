//! What keeps a pod from running, as far as the cluster says. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::dereference::Place;
use crate::message::listed;

/// A pod that is deleted for longer than it was given, and this, is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// What is the matter with the pod of a place, and what to do about it; nothing if nothing is known to be.
pub(super) fn trouble(place: &Place, now: Timestamp) -> Option<String> {
    if let Some(claim) = place.claim_in("Lost") {
        let name = claim.name_any();
        let pods = place.pod.as_ref().map(|pod| format!(" pod/{}", pod.name_any())).unwrap_or_default();
        return Some(format!(
            "the volume of {name} is lost, and a new member takes its place after: kubectl -n {} delete --wait=false \
             pvc/{name}{pods}",
            claim.namespace().unwrap_or_default()
        ));
    }
    let complaint = || place.complaint.clone();
    let Some(pod) = place.pod.as_deref() else { return complaint() };
    let known = kept_claim(place, pod).or_else(|| lost(pod, now)).or_else(|| container(pod));
    known.or_else(complaint).or_else(|| scheduling(pod))
}

/// A claim that somebody has deleted stays as long as its pod does, and no longer.
fn kept_claim(place: &Place, pod: &Pod) -> Option<String> {
    let claim = place.claim.as_ref().filter(|claim| claim.metadata.deletion_timestamp.is_some())?;
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    Some(format!(
        "{claim} is deleted and goes with its pod, and what it holds with it: once the other members are ready, kubectl -n \
         {namespace} delete pod/{pod}",
        claim = claim.name_any(),
        namespace = pod.namespace().unwrap_or_default(),
        pod = pod.name_any()
    ))
}

/// A pod whose machine does not answer, or that does not end although it should have. Nobody but people can tell whether
/// the machine is off, and as long as it is not, what runs there may write.
fn lost(pod: &Pod, now: Timestamp) -> Option<String> {
    let machine = pod.spec.as_ref()?.node_name.as_deref()?;
    let name = pod.name_any();
    let is_overdue = is_overdue(pod, now);
    if let Some(kept) = kept_pod(pod).filter(|_| is_overdue) {
        return Some(kept);
    }
    let what = match (is_overdue, is_silent(pod)) {
        (true, true) => format!("{name} cannot end, because {machine} does not answer"),
        (true, false) => format!("{name} should have ended by now, and {machine} does not say that it has"),
        (false, true) => format!("{name} is on {machine}, which does not answer"),
        (false, false) => return None,
    };
    Some(format!(
        "{what}: it goes on when the machine is back; if it is off, and only then (two pods must never write to one volume): \
         kubectl taint nodes {machine} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; or kubectl -n {namespace} \
         delete pod/{name} --grace-period=0 --force",
        namespace = pod.namespace().unwrap_or_default()
    ))
}

fn is_overdue(pod: &Pod, now: Timestamp) -> bool {
    let deadline = pod.metadata.deletion_timestamp.as_ref().map(|deadline| deadline.0.as_second());
    let over = deadline.and_then(|deadline| u64::try_from(now.as_second() - deadline).ok());
    over.is_some_and(|over| Duration::from_secs(over) >= STUCK)
}

/// Whether the cluster has given up hearing from the kubelet of a pod. It then says that the pod is not ready, and leaves
/// what the kubelet said of the containers; a kubelet says both alike, unless the pod waits for something else, too.
fn is_silent(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let is = |type_: &str, answer: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == type_ && condition.status == answer)
    };
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_ref());
    let is_overruled =
        is("Ready", "False") && is("ContainersReady", "True") && gates.is_none_or(Vec::is_empty);
    is_overruled || status.reason.as_deref() == Some("NodeLost")
}

/// A pod that has ended and that somebody keeps.
fn kept_pod(pod: &Pod) -> Option<String> {
    let finalizers = pod.metadata.finalizers.as_ref().filter(|finalizers| !finalizers.is_empty())?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let is_over =
        |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    statuses.iter().all(is_over).then(|| {
        format!(
            "{} has ended and stays until its finalizers are gone: {}",
            pod.name_any(),
            listed(finalizers)
        )
    })
}

fn container(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let ContainerStatus { state, last_state, .. } = status;
    let waiting = state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| *reason != "ContainerCreating")?;
    let ended = last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let exit =
        ended.map(|ended| format!(" (it ended with exit code {})", ended.exit_code)).unwrap_or_default();
    let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    Some(format!("{}: {reason}{exit}{message}", pod.name_any()))
}

fn scheduling(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    let message = scheduled.message.as_deref().filter(|_| scheduled.status == "False")?;
    Some(format!("{} cannot be scheduled: {message}", pod.name_any()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use serde_json::{Value, json};

    use super::*;

    /// The second at which everything is looked at.
    const NOW: i64 = 1_000;

    fn said(pod: Value, claim: Value) -> Option<String> {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        let place = Place {
            ordinal: 0,
            pod: Some(Arc::new(pod)),
            claim: Some(Arc::new(claim)),
            desired: true,
            complaint: None,
        };
        trouble(&place, Timestamp::from_second(NOW).unwrap())
    }

    fn waiting(reason: &str, exit_code: Option<i32>) -> Value {
        let ended = exit_code.map(|code| json!({"terminated": {"exitCode": code}})).unwrap_or(json!({}));
        let status = json!({
            "name": "synod", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": reason, "message": "try again"}}, "lastState": ended,
        });
        json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})
    }

    fn deleted(ago: i64) -> Value {
        let mut pod = on_machine(&[]);
        pod["metadata"]["deletionTimestamp"] = json!(Timestamp::from_second(NOW - ago).unwrap().to_string());
        pod
    }

    /// A pod with these conditions.
    fn on_machine(conditions: &[(&str, &str)]) -> Value {
        let conditions = conditions.iter().map(|(type_, status)| json!({"type": type_, "status": status}));
        let conditions: Vec<_> = conditions.collect();
        json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"nodeName": "m", "containers": []},
            "status": {"conditions": conditions},
        })
    }

    /// What the cluster makes of the pods of a machine from which it hears nothing.
    const OVERRULED: [(&str, &str); 2] = [("Ready", "False"), ("ContainersReady", "True")];

    #[test]
    fn a_machine_that_is_lost_is_named_with_what_to_do_and_what_not_to() {
        let is_on = "p is on m, which does not answer: ";
        let with = |mut pod: Value, part: &str, field: &str, value: Value| {
            pod[part][field] = value;
            pod
        };
        let deadline = deleted(31)["metadata"]["deletionTimestamp"].clone();
        let overdue = |pod| with(pod, "metadata", "deletionTimestamp", deadline.clone());
        let over = json!([{"name": "synod", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0}}}]);
        let ended = with(deleted(31), "status", "containerStatuses", over);
        for (pod, expected) in [
            (on_machine(&OVERRULED), Some(is_on)),
            (on_machine(&[("Ready", "False"), ("ContainersReady", "False")]), None),
            (on_machine(&[("Ready", "True"), ("ContainersReady", "True")]), None),
            (with(on_machine(&OVERRULED), "spec", "readinessGates", json!([{"conditionType": "x"}])), None),
            (with(on_machine(&OVERRULED), "spec", "nodeName", Value::Null), None),
            (with(deleted(29), "status", "reason", json!("NodeLost")), Some(is_on)),
            (overdue(on_machine(&OVERRULED)), Some("p cannot end, because m does not answer: ")),
            (deleted(31), Some("p should have ended by now, and m does not say that it has: ")),
            (ended.clone(), Some("p should have ended by now, and m does not say that it has: ")),
        ] {
            let said = said(pod.clone(), json!({}));
            assert_eq!(said.is_some(), expected.is_some(), "{pod}: {said:?}");
            let (Some(said), Some(expected)) = (said, expected) else { continue };
            assert!(said.starts_with(expected), "{pod}: {said}");
            assert!(said.ends_with(
                "it goes on when the machine is back; if it is off, and only then (two pods must never write to one \
                 volume): kubectl taint nodes m node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; or kubectl -n n \
                 delete pod/p --grace-period=0 --force"
            ));
        }
        let kept = said(with(ended, "metadata", "finalizers", json!(["a/b"])), json!({}));
        assert_eq!(kept.as_deref(), Some("p has ended and stays until its finalizers are gone: a/b"));
    }

    #[test]
    fn what_events_say_comes_before_what_the_scheduler_makes_of_it() {
        let unscheduled = json!({"metadata": {"name": "p"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "unbound claims"},
        ]}});
        let image = waiting("ErrImagePull", None);
        for (pod, expected) in
            [(None, "quota"), (Some(unscheduled), "quota"), (Some(image), "p: ErrImagePull: try again")]
        {
            let pod: Option<Pod> = pod.map(|pod| serde_json::from_value(pod).unwrap());
            let complaint = Some("quota".to_owned());
            let place = Place { ordinal: 0, pod: pod.map(Arc::new), claim: None, desired: true, complaint };
            let said = trouble(&place, Timestamp::from_second(NOW).unwrap());
            assert_eq!(said.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_the_cluster_says_of_a_pod_is_passed_on() {
        let unscheduled = json!({"metadata": {"name": "p"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "no room"},
        ]}});
        let lost = json!({"metadata": {"name": "data-p", "namespace": "n"}, "status": {"phase": "Lost"}});
        let leaving = json!({"metadata": {"name": "data-p", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let cases = [
            (waiting("ErrImagePull", None), json!({}), Some("p: ErrImagePull: try again")),
            (
                waiting("CrashLoopBackOff", Some(2)),
                json!({}),
                Some("p: CrashLoopBackOff (it ended with exit code 2)"),
            ),
            (waiting("ContainerCreating", None), json!({}), None),
            (unscheduled, json!({}), Some("p cannot be scheduled: no room")),
            (
                json!({"metadata": {"name": "p"}}),
                lost,
                Some(
                    "the volume of data-p is lost, and a new member takes its place after: kubectl -n n delete --wait=false \
                     pvc/data-p pod/p",
                ),
            ),
            (
                json!({"metadata": {"name": "p"}}),
                leaving.clone(),
                Some("data-p is deleted and goes with its pod"),
            ),
            (deleted(29), leaving, None),
            (deleted(29), json!({}), None),
            (deleted(31), json!({}), Some("p should have ended by now")),
            (json!({"metadata": {"name": "p"}}), json!({}), None),
        ];
        for (pod, claim, expected) in cases {
            let said = said(pod, claim);
            let fits = match expected {
                Some(expected) => said.as_deref().is_some_and(|said| said.starts_with(expected)),
                None => said.is_none(),
            };
            assert!(fits, "{said:?}, expected {expected:?}");
        }
    }
}
