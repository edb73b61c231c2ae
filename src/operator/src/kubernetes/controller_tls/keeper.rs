//! Looks after the objects in which operators share their certificate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt};
use synod_api::labels;
use synod_types::{CONTROLLER_CA_CONFIG_MAP, CONTROLLER_CA_KEY};
use tokio::time::sleep;

use super::super::apply::{ApplyError, Written};
use super::super::backoff::jittered;
use super::super::certificates::{Authority, Pair, Source, authority_secret, certificate_secret, since};
use super::super::health::Readiness;
use super::super::store::store;
use super::handshake::Shown;
use super::names::Names;

/// The Secret with the key of the authority.
const AUTHORITY: &str = "synod-controller-authority";

/// The Secret with the certificate.
const CERTIFICATE: &str = "synod-controller-tls";

/// Under which name the operator writes these.
const FIELD_MANAGER: &str = "synod-controller-tls";

/// How often to look at what is there.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How often after something has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Looks after the certificate of the controller service.
pub(in super::super) struct Keeper {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    names: Names,
    shown: Arc<Shown>,
    readiness: Readiness,
    /// Whether this is the operator that acts.
    acts: Arc<AtomicBool>,
}

impl Keeper {
    /// In the namespace of the operators. What clients are to see goes into `shown`.
    pub(in super::super) fn new(
        client: &Client,
        namespace: &str,
        shown: Arc<Shown>,
        readiness: Readiness,
        acts: Arc<AtomicBool>,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            names: Names::of(namespace),
            shown,
            readiness,
            acts,
        }
    }

    /// Looks again and again.
    pub(in super::super) async fn run(&self) -> std::convert::Infallible {
        loop {
            let pause = match self.look(Timestamp::now().as_second()).await {
                Ok(()) => LOOK_INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "the certificate of the controller service is not as it should be");
                    RETRY_INTERVAL
                }
            };
            sleep(jittered(pause)).await;
        }
    }

    /// Does what is due, and shows clients what there is.
    pub(super) async fn look(&self, now: i64) -> Result<(), ApplyError> {
        let secret = get(&self.secrets, CERTIFICATE).await?;
        let held = secret.as_ref().and_then(|secret| Pair::read(secret).ok());
        let held = held.filter(|pair| pair.certified_key().is_ok());
        let pair = match held {
            Some(pair) if !self.acts.load(Ordering::Relaxed) => pair,
            held => {
                if let Some(held) = &held {
                    self.publish(&held.ca).await?;
                }
                let known = held.as_ref().map(|held| held.ca.clone());
                let pair = self.renew(secret.as_ref(), held, now).await?;
                if known.as_ref() != Some(&pair.ca) {
                    self.publish(&pair.ca).await?;
                }
                pair
            }
        };
        let key = pair.certified_key().map_err(|_| damaged(CERTIFICATE))?;
        if self.shown.show(key) {
            tracing::info!("clients of the controller service are shown another certificate");
        }
        self.readiness.can_show_who_it_is();
        Ok(())
    }

    /// The certificate that is to be in use, after what was due is done.
    async fn renew(&self, secret: Option<&Secret>, held: Option<Pair>, now: i64) -> Result<Pair, ApplyError> {
        let source = Source::Made(self.authority(now).await?);
        let due = source.due(held.as_ref(), since(secret), &self.names, now)?;
        let Some(pair) = due else { return held.ok_or_else(|| damaged(CERTIFICATE)) };
        let secret = certificate_secret(metadata(CERTIFICATE, secret), &pair, now);
        let stored = store(&self.secrets, FIELD_MANAGER, &secret).await?;
        tracing::info!("the certificate of the controller service is renewed");
        Pair::read(&stored).map_err(|_| damaged(CERTIFICATE))
    }

    /// The authority, made if there is none or if it is time for another one.
    async fn authority(&self, now: i64) -> Result<Authority, ApplyError> {
        let there = get(&self.secrets, AUTHORITY).await?;
        let authority = there.as_ref().and_then(Authority::read);
        if let Some(authority) = authority.filter(|authority| !authority.is_due(now)) {
            return Ok(authority);
        }
        let made = Authority::make("controller", now)?;
        let secret = authority_secret(metadata(AUTHORITY, there.as_ref()), &made);
        let stored = store(&self.secrets, FIELD_MANAGER, &secret).await?;
        tracing::info!("a new authority for the controller service");
        Authority::read(&stored).ok_or_else(|| damaged(AUTHORITY))
    }

    /// Tells all pods who vouches for the controller service.
    async fn publish(&self, ca: &str) -> Result<(), ApplyError> {
        let there = get(&self.config_maps, CONTROLLER_CA_CONFIG_MAP).await?;
        let data = BTreeMap::from([(CONTROLLER_CA_KEY.to_owned(), ca.to_owned())]);
        if there.as_ref().is_some_and(|there| there.data.as_ref() == Some(&data)) {
            return Ok(());
        }
        let metadata = metadata(CONTROLLER_CA_CONFIG_MAP, there.as_ref());
        let config_map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        // Of somebody who was faster the next look sees what he has published.
        store(&self.config_maps, FIELD_MANAGER, &config_map).await.map(drop)
    }
}

async fn get<K: Written>(api: &Api<K>, name: &str) -> Result<Option<K>, ApplyError> {
    api.get_opt(name).await.map_err(|source| ApplyError::Unread {
        kind: K::kind(&()).into_owned(),
        name: name.to_owned(),
        source,
    })
}

fn damaged(name: &str) -> ApplyError {
    ApplyError::Damaged { kind: "Secret".to_owned(), name: name.to_owned() }
}

/// The metadata of an object; of the one that is there, as it was seen, if there is one.
fn metadata<K: Resource>(name: &str, there: Option<&K>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels::of_operator()),
        uid: there.and_then(ResourceExt::uid),
        resource_version: there.and_then(ResourceExt::resource_version),
        ..ObjectMeta::default()
    }
}
