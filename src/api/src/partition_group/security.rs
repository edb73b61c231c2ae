//! What protects a group from others on the network.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{secret_goes_with_type, tls_stays};

/// What protects a group from others on the network.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecuritySpec {
    /// Whether and how connections to and between replicas are encrypted. `synod dev` encrypts nothing.
    #[serde(default)]
    #[x_kube(validation = tls_stays())]
    pub tls: TlsSpec,
}

/// Whether and how connections to and between replicas are encrypted, and how they know each other.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = secret_goes_with_type())]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// Where certificates come from. `Operator`: the operator makes them, for this group alone, and renews them in time.
    /// `Secret`: they are in a Secret that you provide, or cert-manager. `PlainText`: there are none, nothing is encrypted,
    /// and whoever reaches a replica may pose as another one. It cannot be changed later.
    #[serde(rename = "type", default)]
    pub tls_type: TlsType,

    /// The Secret with the certificate of all replicas, with type `Secret`. It has the keys `tls.crt`, `tls.key` and
    /// `ca.crt`. The certificate is for servers and clients; for each partition `<p>` it has the DNS name
    /// `*.<group>-p<p>-peers.<namespace>.svc`, and the URI `synod://<namespace>/<group>`. What is not fit is not used, and
    /// the last fit one serves on; the condition CertificatesReady says what is wrong. A renewed one is used without a
    /// restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// Where certificates come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsType {
    /// The operator makes them.
    #[default]
    Operator,
    /// They are in a Secret.
    Secret,
    /// There are none, and nothing is encrypted.
    PlainText,
}
