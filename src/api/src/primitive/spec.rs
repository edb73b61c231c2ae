//! What a user declares.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use synod_types::DEFAULT_APPLICATION;

use super::PrimitiveStatus;
use super::rules::{
    application_stays, fits_bytes, group_can_exist, group_stays, is_printable, kind_stays, name_stays,
};
use crate::names::GROUP_NAME_MAX;

/// The most bytes of an application or primitive name.
pub(super) const NAME_BYTES_MAX: u32 = 255;

/// A Primitive declares a counter, value, map, set, lock or election of a group, so that it exists before anyone
/// connects. Primitives that programs create on their own need no such object.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "synod.dev",
    version = "v1alpha1",
    kind = "Primitive",
    plural = "primitives",
    shortname = "prim",
    category = "synod",
    namespaced,
    status = "PrimitiveStatus",
    derive = "PartialEq",
    doc = "A Primitive declares a counter, value, map, set, lock or election of a group, so that it exists before anyone connects. Primitives that programs create on their own need no such object.",
    printcolumn(
        name = "Group",
        type_ = "string",
        json_path = ".spec.group",
        description = "The group that holds it"
    ),
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.kind",
        description = "What it is"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it exists as declared"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not, in one word"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the object exists"
    ),
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".spec.application",
        description = "The application that it belongs to",
        priority = 1
    ),
    printcolumn(
        name = "Deletion",
        type_ = "string",
        json_path = ".spec.deletionPolicy",
        description = "What happens to it when the object is deleted",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What is the matter and what to do",
        priority = 1
    ),
    validation = name_stays()
)]
#[serde(rename_all = "camelCase")]
pub struct PrimitiveSpec {
    /// The PartitionGroup of the same namespace that holds the primitive. It cannot be changed later.
    #[schemars(length(min = 1, max = GROUP_NAME_MAX))]
    #[x_kube(validation = group_can_exist(), validation = group_stays())]
    pub group: String,

    /// What it is: `Counter`, `Value`, `Map`, `Set`, `Lock` or `Election`. It cannot be changed later.
    #[x_kube(validation = kind_stays())]
    pub kind: PrimitiveKind,

    /// The application that the primitive belongs to: programs that share it share their primitives. 1 to 255 bytes
    /// without control characters. It cannot be changed later.
    #[serde(default = "default_application")]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    #[x_kube(
        validation = fits_bytes(),
        validation = is_printable(),
        validation = application_stays()
    )]
    pub application: String,

    /// The name under which programs know it: 1 to 255 bytes without control characters. Left out, it is the name of
    /// this object. It cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    #[x_kube(validation = fits_bytes(), validation = is_printable())]
    pub name: Option<String>,

    /// What happens to the primitive when this object is deleted. `Retain`: it stays, with its data. `Delete`: it goes.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Primitive {
    /// The name under which programs know it: `spec.name`, or the name of the object.
    pub fn primitive_name(&self) -> &str {
        let of_object = || self.metadata.name.as_deref().unwrap_or_default();
        self.spec.name.as_deref().unwrap_or_else(of_object)
    }
}

/// A kind of primitive, as manifests spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PrimitiveKind {
    /// A 64-bit signed number.
    Counter,
    /// One versioned byte string.
    Value,
    /// Byte strings under string keys, spread over all partitions by key.
    Map,
    /// Strings, spread over all partitions by element.
    Set,
    /// A fenced read-write lock.
    Lock,
    /// A leader election.
    Election,
}

impl From<PrimitiveKind> for synod_types::PrimitiveKind {
    fn from(kind: PrimitiveKind) -> Self {
        match kind {
            PrimitiveKind::Counter => Self::Counter,
            PrimitiveKind::Value => Self::Value,
            PrimitiveKind::Map => Self::Map,
            PrimitiveKind::Set => Self::Set,
            PrimitiveKind::Lock => Self::Lock,
            PrimitiveKind::Election => Self::Election,
        }
    }
}

impl From<synod_types::PrimitiveKind> for PrimitiveKind {
    fn from(kind: synod_types::PrimitiveKind) -> Self {
        match kind {
            synod_types::PrimitiveKind::Counter => Self::Counter,
            synod_types::PrimitiveKind::Value => Self::Value,
            synod_types::PrimitiveKind::Map => Self::Map,
            synod_types::PrimitiveKind::Set => Self::Set,
            synod_types::PrimitiveKind::Lock => Self::Lock,
            synod_types::PrimitiveKind::Election => Self::Election,
        }
    }
}

/// What happens to a primitive whose object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays, with its data.
    #[default]
    Retain,
    /// It is deleted with its data.
    Delete,
}

fn default_application() -> String {
    DEFAULT_APPLICATION.to_owned()
}
