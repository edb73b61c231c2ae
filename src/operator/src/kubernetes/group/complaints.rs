//! What the cluster says of pods that it cannot make and of claims that it cannot bind: in events, and nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use synod_api::names;

use super::Scope;
use super::dereference::Found;

/// For how long an answer holds: who waits for a quota waits long, and the API server has other things to do.
const HOLDS: Duration = Duration::from_secs(5);

/// The most events that are read of one object.
const EVENTS_MAX: u32 = 200;

/// What was last said of an object, and when it was asked for, by namespace and what is asked.
type Asked = HashMap<(String, String), (Instant, Option<String>)>;

/// What was said lately, so that it need not be asked again.
#[derive(Debug, Default)]
pub(in super::super) struct Complaints(Mutex<Asked>);

impl Complaints {
    fn known(&self, namespace: &str, about: &str) -> Option<Option<String>> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, (at, _)| at.elapsed() < HOLDS);
        asked.get(&(namespace.to_owned(), about.to_owned())).map(|(_, said)| said.clone())
    }

    fn remember(&self, namespace: &str, about: &str, said: Option<String>) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert((namespace.to_owned(), about.to_owned()), (Instant::now(), said));
    }
}

/// What is to be asked about a place.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    /// Why a set does not make this pod.
    Pod { set: String, pod: String },
    /// Why a claim gets no volume.
    Claim(String),
}

/// Asks why, for the first place of each partition that has no pod, or whose pod waits for a volume, and takes note of it
/// there. What cannot be read is not said: the rest of the status is of use without it.
pub(super) async fn note(client: &Client, complaints: &Complaints, scope: &Scope, found: &mut [Found]) {
    for partition in found {
        let Some((position, question)) = question(scope, partition) else { continue };
        let said = ask(client, complaints, scope, &question).await;
        if let Some(place) = partition.places.get_mut(position) {
            place.complaint = said;
        }
    }
}

fn question(scope: &Scope, partition: &Found) -> Option<(usize, Question)> {
    let set = partition.set.as_ref()?;
    let mut places = partition.places.iter().enumerate().filter(|(_, place)| place.desired);
    places.find_map(|(position, place)| {
        let question = match &place.pod {
            None => Question::Pod {
                set: set.name_any(),
                pod: names::pod(&scope.name, partition.id, place.ordinal),
            },
            Some(_) => Question::Claim(place.claim_in("Pending")?.name_any()),
        };
        Some((position, question))
    })
}

async fn ask(client: &Client, complaints: &Complaints, scope: &Scope, question: &Question) -> Option<String> {
    let (kind, about, pod) = match question {
        Question::Pod { set, pod } => ("StatefulSet", set, Some(pod)),
        Question::Claim(claim) => ("PersistentVolumeClaim", claim, None),
    };
    let key = format!("{about} {}", pod.map(String::as_str).unwrap_or_default());
    if let Some(known) = complaints.known(&scope.namespace, &key) {
        return known;
    }
    let fields = format!("involvedObject.kind={kind},involvedObject.name={about}");
    let api: Api<Event> = Api::namespaced(client.clone(), &scope.namespace);
    let events = match api.list(&ListParams::default().fields(&fields).limit(EVENTS_MAX)).await {
        Ok(events) => events.items,
        Err(error) => {
            tracing::debug!(group = scope.label(), %error, "events cannot be read");
            Vec::new()
        }
    };
    let said = newest(&events, pod.map(String::as_str)).map(|said| match question {
        Question::Pod { .. } => said.to_owned(),
        Question::Claim(claim) => format!("{claim}: {said}"),
    });
    complaints.remember(&scope.namespace, &key, said.clone());
    said
}

/// What was said last, if it is a warning. Of a set, only what is about this pod counts.
fn newest<'a>(events: &'a [Event], pod: Option<&str>) -> Option<&'a str> {
    let is_about = |event: &&Event| {
        pod.is_none_or(|pod| {
            let message = event.message.as_deref().unwrap_or_default();
            message.split_whitespace().any(|word| word == pod)
        })
    };
    let last = events.iter().filter(is_about).max_by_key(|event| (time(event), is_warning(event)))?;
    last.message.as_deref().filter(|_| is_warning(last))
}

fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

fn time(event: &Event) -> Option<Timestamp> {
    let of_series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let exact = of_series.or(event.event_time.as_ref()).map(|time| time.0);
    event.last_timestamp.as_ref().map(|time| time.0).max(exact)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(second: i64, type_: &str, message: &str) -> Event {
        let at = Timestamp::from_second(second).unwrap().to_string();
        let event = json!({
            "metadata": {}, "involvedObject": {}, "type": type_, "message": message, "lastTimestamp": at,
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn what_was_said_last_counts_and_only_about_this_pod() {
        let quota = "create Pod a-p0-1 in StatefulSet a-p0 failed error: exceeded quota: few";
        let made = "create Pod a-p0-1 in StatefulSet a-p0 successful";
        let other = "create Pod a-p0-10 in StatefulSet a-p0 successful";
        let failed = event(5, "Warning", quota);
        for (events, expected) in [
            (vec![], None),
            (vec![failed.clone(), event(9, "Normal", other)], Some(quota)),
            (vec![event(9, "Normal", made), failed.clone()], None),
            (vec![failed.clone(), event(5, "Normal", made)], Some(quota)),
            (vec![event(9, "Warning", other)], None),
        ] {
            assert_eq!(newest(&events, Some("a-p0-1")), expected, "{events:?}");
        }
        assert_eq!(newest(&[failed], None), Some(quota));
    }
}
