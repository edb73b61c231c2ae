//! The kinds and the operator on a real API server, with nothing behind it: no controller makes pods, no node runs them. So
//! whatever happens here is the operator's doing, or that of a simulation of the rest of a cluster.
//!
//! It needs `etcd`, `kube-apiserver` and `kubectl` in `CLUSTER_BIN`, where `tests/e2e/cluster/build` puts them, and no root.

mod access;
mod advice;
mod conflicts;
mod control_plane;
mod controller_tls;
mod crash;
mod fuse;
mod operator;
mod outages;
mod page;
mod proxy;
mod rules;
mod scale;
mod simulation;
mod site;
mod volumes;
mod watches;
