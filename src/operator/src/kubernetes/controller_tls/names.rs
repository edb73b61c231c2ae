//! What the certificate of the controller service must name. Pure.

use synod_types::CONTROLLER_SERVICE;

use super::super::certificates::Subject;

/// The names by which clients reach the controller service.
pub(super) struct Names(Vec<String>);

impl Names {
    /// Those of the Service in a namespace, and that by which a port-forward is reached.
    pub(super) fn of(namespace: &str) -> Self {
        let service = format!("{CONTROLLER_SERVICE}.{namespace}");
        let full = format!("{service}.svc.cluster.local");
        let cluster = format!("{service}.svc");
        Self(vec![service, cluster, full, CONTROLLER_SERVICE.to_owned(), "localhost".to_owned()])
    }
}

impl Subject for Names {
    fn dns(&self) -> Vec<String> {
        self.0.clone()
    }

    fn uris(&self) -> Vec<String> {
        Vec::new()
    }

    fn missing(&self, is_for: &dyn Fn(&str) -> bool, _: &[&str]) -> Vec<String> {
        let missing = self.0.iter().filter(|name| !is_for(name));
        missing.map(|name| format!("the DNS name {name}")).collect()
    }
}
