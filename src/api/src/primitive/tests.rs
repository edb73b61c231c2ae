//! What a spec means.

use super::*;

#[test]
fn kinds_are_those_of_the_state_machines_in_pascal_case() {
    for kind in synod_types::PrimitiveKind::ALL {
        let spelled = serde_json::to_value(PrimitiveKind::from(kind)).unwrap();
        assert_eq!(spelled.as_str().unwrap().to_lowercase(), kind.as_str());
        assert_eq!(synod_types::PrimitiveKind::from(PrimitiveKind::from(kind)), kind);
    }
}

#[test]
fn the_name_is_that_of_the_object_unless_the_spec_gives_one() {
    let spec = serde_json::json!({"group": "sample", "kind": "Map"});
    let mut primitive = Primitive::new("users", serde_json::from_value(spec).unwrap());
    assert_eq!((primitive.primitive_name(), primitive.spec.application.as_str()), ("users", "default"));
    primitive.spec.name = Some("Users".to_owned());
    assert_eq!(primitive.primitive_name(), "Users");
}
