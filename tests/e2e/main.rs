//! Synod on a real Kubernetes: installed with its chart, used from pods.
//!
//! `tests/e2e/run` brings a cluster up, or takes the one that `KUBECONFIG` names, builds and installs everything, and then
//! runs these tests. Each has a namespace of its own, so that they can be run one by one and again; they take turns, because
//! some of them measure, and some stop the operator or a machine.

mod kubectl;
mod lifecycle;
mod machines;
mod operator;
mod quorum;
mod sample;
mod scale;
mod security;
mod shortage;
mod trouble;
mod volumes;
mod workload;

/// The group that most tests use: three partitions of three replicas.
const SAMPLE: &str = include_str!("../../config/samples/partitiongroup.yaml");

/// The primitives of the samples.
const PRIMITIVES: &str = include_str!("../../config/samples/primitive.yaml");

/// A group of one partition.
const SMALL: &str = "
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata: {name: small}
spec:
  partitions: 1
  storage: {whenDeleted: Retain}
";
