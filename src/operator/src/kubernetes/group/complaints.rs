//! What the cluster says of pods that it cannot make and of claims that it cannot bind: in events, and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
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

/// How many events are asked for at a time, and the most that are read of a namespace.
const PAGE: u32 = 500;
const EVENTS_MAX: usize = 20_000;

/// What was said lately, so that it need not be asked again.
///
/// To find the events of one object the API server goes through all of the namespace. So those of all objects of a kind are
/// read at once, and a thousand groups that wait ask no more often than one.
#[derive(Debug, Default)]
pub(in super::super) struct Complaints(Mutex<HashMap<(String, &'static str), Arc<Heard>>>);

/// What was said of the objects of a kind in a namespace. Whoever asks while somebody else does, waits for that answer.
type Heard = tokio::sync::Mutex<Option<(Instant, HashMap<String, Vec<Said>>)>>;

/// One event.
#[derive(Clone, Debug)]
struct Said {
    message: String,
    at: Option<Timestamp>,
    is_warning: bool,
}

impl Complaints {
    fn heard(&self, namespace: &str, kind: &'static str) -> Arc<Heard> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |heard: &Arc<Heard>| {
            heard.try_lock().is_ok_and(|heard| heard.as_ref().is_some_and(|(at, _)| at.elapsed() < HOLDS))
        };
        all.retain(|_, heard| Arc::strong_count(heard) > 1 || is_held(heard));
        all.entry((namespace.to_owned(), kind)).or_default().clone()
    }

    /// What was said of an object.
    async fn about(&self, client: &Client, namespace: &str, kind: &'static str, name: &str) -> Vec<Said> {
        let heard = self.heard(namespace, kind);
        let mut heard = heard.lock().await;
        let said = match heard.take().filter(|(at, _)| at.elapsed() < HOLDS) {
            Some(known) => heard.insert(known),
            None => heard.insert((Instant::now(), read(client, namespace, kind).await)),
        };
        said.1.get(name).cloned().unwrap_or_default()
    }
}

/// Reads what was said of all objects of a kind.
async fn read(client: &Client, namespace: &str, kind: &str) -> HashMap<String, Vec<Said>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut all: HashMap<String, Vec<Said>> = HashMap::new();
    let mut page = ListParams::default().fields(&format!("involvedObject.kind={kind}")).limit(PAGE);
    let mut count = 0;
    loop {
        let events = match api.list(&page).await {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(namespace, %error, "events cannot be read");
                return all;
            }
        };
        count += events.items.len();
        for event in events.items {
            let (at, is_warning) = (time(&event), event.type_.as_deref() == Some("Warning"));
            let said = Said { message: event.message.unwrap_or_default(), at, is_warning };
            all.entry(event.involved_object.name.unwrap_or_default()).or_default().push(said);
        }
        page.continue_token = events.metadata.continue_.filter(|token| !token.is_empty());
        if page.continue_token.is_none() || count >= EVENTS_MAX {
            return all;
        }
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
    let said = complaints.about(client, &scope.namespace, kind, about).await;
    newest(&said, pod.map(String::as_str)).map(|said| match question {
        Question::Pod { .. } => said.to_owned(),
        Question::Claim(claim) => format!("{claim}: {said}"),
    })
}

/// What was said last, if it is a warning. Of a set, only what is about this pod counts.
fn newest<'a>(said: &'a [Said], pod: Option<&str>) -> Option<&'a str> {
    let is_about =
        |said: &&Said| pod.is_none_or(|pod| said.message.split_whitespace().any(|word| word == pod));
    let last = said.iter().filter(is_about).max_by_key(|said| (said.at, said.is_warning))?;
    last.is_warning.then_some(last.message.as_str())
}

fn time(event: &Event) -> Option<Timestamp> {
    let of_series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let exact = of_series.or(event.event_time.as_ref()).map(|time| time.0);
    event.last_timestamp.as_ref().map(|time| time.0).max(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(second: i64, is_warning: bool, message: &str) -> Said {
        Said { message: message.to_owned(), at: Some(Timestamp::from_second(second).unwrap()), is_warning }
    }

    #[test]
    fn what_was_said_last_counts_and_only_about_this_pod() {
        let quota = "create Pod a-p0-1 in StatefulSet a-p0 failed error: exceeded quota: few";
        let made = "create Pod a-p0-1 in StatefulSet a-p0 successful";
        let other = "create Pod a-p0-10 in StatefulSet a-p0 successful";
        let failed = said(5, true, quota);
        for (events, expected) in [
            (vec![], None),
            (vec![failed.clone(), said(9, false, other)], Some(quota)),
            (vec![said(9, false, made), failed.clone()], None),
            (vec![failed.clone(), said(5, false, made)], Some(quota)),
            (vec![said(9, true, other)], None),
        ] {
            assert_eq!(newest(&events, Some("a-p0-1")), expected, "{events:?}");
        }
        assert_eq!(newest(&[failed], None), Some(quota));
    }
}
