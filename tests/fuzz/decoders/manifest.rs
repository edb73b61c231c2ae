//! YAML of a group or primitive.
//!
//! Promise: what is taken is taken again as written out, and means the same; what is refused says where and why.

use synod_api::manifest::{Object, read};

/// Whether the bytes are objects that are all in order.
pub fn run(bytes: &[u8]) -> bool {
    let found = match read("input", bytes) {
        Ok(found) => found,
        Err(error) => {
            assert!(!error.problems().is_empty());
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    for manifest in &found {
        let written = match &manifest.object {
            Object::PartitionGroup(group) => serde_json::to_vec(group),
            Object::Primitive(primitive) => serde_json::to_vec(primitive),
            other => unreachable!("{other:?}"),
        };
        let again = read("again", &written.unwrap()).unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].object, manifest.object);
    }
    !found.is_empty()
}

/// The samples.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../../../config/samples/partitiongroup.yaml").to_vec(),
        include_bytes!("../../../config/samples/primitive.yaml").to_vec(),
    ]
}
