//! Certificates: renewed while replicas serve, and taken from a Secret only if they are fit.

use std::collections::BTreeSet;

use rcgen::{
    CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, date_time_ymd,
};
use serde_json::{Value, json};

use crate::SMALL;
use crate::kubectl::{Namespace, condition};
use crate::workload::under_load;

fn restarts(namespace: &Namespace) -> u64 {
    let pods = namespace.get("pods");
    let of_pod = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0);
    pods["items"].as_array().unwrap().iter().map(of_pod).sum()
}

#[test]
fn certificates_are_renewed_under_load_without_a_restart() {
    let namespace = Namespace::new("renewal");
    namespace.apply(SMALL);
    namespace.wait_ready("small", 60);
    let certificate = |secret: &Value| secret["data"]["tls.crt"].as_str().unwrap_or_default().to_owned();
    let before = certificate(&namespace.get("secret/small-p0-tls"));
    let pods: BTreeSet<_> = namespace.names("pods").into_iter().collect();
    under_load(&namespace, "renewal of certificates", 180, || {
        namespace.kubectl(&["delete", "secret/small-p0-tls"]);
        namespace.wait("secret/small-p0-tls", 30, |secret| certificate(secret) != before);
        for pod in &pods {
            // The kubelet brings it within a minute or two.
            namespace.wait(&format!("pod/{pod}"), 150, |_| {
                namespace.kubectl(&["logs", pod]).contains("certificates renewed")
            });
        }
        // Those who have connected before do not notice, and those who connect now do.
        namespace.run_pod("tour", "localhost/tour:e2e", &[]);
    });
    assert_eq!(restarts(&namespace), 0);
    assert_eq!(condition(&namespace.get("partitiongroup/small"), "CertificatesReady").0, "True");
}

/// A Secret as cert-manager makes it, which ends at the end of a year.
fn secret(namespace: &str, issuer: &CertifiedIssuer<'_, KeyPair>, year: i32) -> Value {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![format!("*.small-p0-peers.{namespace}.svc")]).unwrap();
    params.subject_alt_names.push(SanType::URI(format!("synod://{namespace}/small").try_into().unwrap()));
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_after = date_time_ymd(year, 12, 31);
    let certificate = params.signed_by(&key, issuer).unwrap();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem(), "ca.crt": issuer.pem()},
    })
}

#[test]
fn a_secret_is_used_when_it_is_fit_and_what_is_not_says_why() {
    let namespace = Namespace::new("secret");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let refused = |said: &str| {
        namespace.wait("partitiongroup/small", 30, |group| {
            let (status, reason, message) = condition(group, "CertificatesReady");
            status == "False" && reason == "CertificateRefused" && message.contains(said)
        });
    };
    let security = "  security: {tls: {type: Secret, secretName: mine}}\n";
    namespace.apply(&format!("{}{security}", SMALL));
    refused("Secret \"mine\": it does not exist");
    namespace.apply(&secret(&namespace.name, &issuer, 2_020).to_string());
    refused("has expired");
    namespace.apply(&secret(&namespace.name, &issuer, 2_090).to_string());
    let ready = namespace.wait_ready("small", 90);
    println!("ready {:.1} s after the Secret was fit", ready.as_secs_f64());
    assert_eq!(condition(&namespace.get("partitiongroup/small"), "CertificatesReady").0, "True");
    namespace.run_pod("tour", "localhost/tour:e2e", &[]);

    let other = secret(&namespace.name, &issuer, 2_090);
    let mut mixed = secret(&namespace.name, &issuer, 2_090);
    mixed["stringData"]["tls.key"] = other["stringData"]["tls.key"].clone();
    namespace.apply(&mixed.to_string());
    refused("does not go with the certificate");
    namespace.kubectl(&["delete", "pod/small-p0-0"]);
    namespace.wait("pod/small-p0-0", 90, |pod| pod["status"]["containerStatuses"][0]["ready"] == true);
    namespace.run_pod("again", "localhost/tour:e2e", &[]);
    namespace.apply(&other.to_string());
    namespace.wait("partitiongroup/small", 30, |group| condition(group, "CertificatesReady").0 == "True");
}
