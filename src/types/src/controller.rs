//! Where a cluster tells its programs of the controller: the names by which operators and clients meet.

/// The Service of the controller, in the namespace of the operators.
pub const CONTROLLER_SERVICE: &str = "synod-controller";

/// The ConfigMap, in the same namespace, that says which authorities vouch for the controller.
pub const CONTROLLER_CA_CONFIG_MAP: &str = "synod-controller-ca";

/// The key of that ConfigMap under which their certificates are, in PEM.
pub const CONTROLLER_CA_KEY: &str = "ca.crt";
