//! Files to start from.

use std::path::Path;

/// The manifest of a group.
pub(crate) fn group(name: &str, partitions: u32, replicas: u32) -> String {
    format!(
        "\
apiVersion: synod.dev/v1alpha1
kind: PartitionGroup
metadata:
  name: {name}
spec:
  partitions: {partitions}
  replicas: {replicas}
"
    )
}

/// Writes a file and returns its path.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
