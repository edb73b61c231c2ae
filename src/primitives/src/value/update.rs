//! `value update`: the value, if it is set, and has the version that the caller expects if one is given.

use synod_proto::value::v1::{UpdateRequest, UpdateResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome};
use crate::item::Item;

impl Apply for UpdateRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Value;
    type Response = UpdateResponse;

    /// Rejects with `NotFound` when the value is not set, with `Conflict` when it has another version.
    fn apply(self, context: &mut Context<'_>) -> Outcome<UpdateResponse> {
        bounds::value(context.limits(), &self.value)?;
        bounds::ttl(self.ttl_ms)?;
        let found = super::read(&context.view())?.ok_or_else(super::not_set)?;
        Item::expect_version(Some(&found), self.expected_version)?;
        let (version, previous) = super::write(context, self.value, self.ttl_ms, Some(found))?;
        Ok(UpdateResponse { version: version.get(), previous })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::{Value, versioned};

    #[test]
    fn bug_update_with_wrong_version_changes_nothing() {
        let mut value = Value::new();
        let version = value.set(b"a", None).unwrap().version;
        assert_eq!(value.update(b"b", version + 1), Err(ErrorCode::Conflict));
        assert_eq!(value.get(), Ok((b"a".to_vec(), version)));
    }

    #[test]
    fn it_needs_a_value_and_its_version_or_none() {
        let mut value = Value::new();
        assert_eq!(value.update(b"a", 0), Err(ErrorCode::NotFound));
        assert_eq!(value.update(b"a", 9), Err(ErrorCode::NotFound));
        let first = value.set(b"a", None).unwrap().version;
        let second = value.update(b"b", first).unwrap();
        assert_eq!(second.previous, Some(versioned(b"a", first)));
        value.update(b"c", 0).unwrap();
        assert_eq!(value.update(b"d", second.version), Err(ErrorCode::Conflict));
    }
}
