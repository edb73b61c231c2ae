//! `value delete`: unsets the value, if it has the version that the caller expects if one is given.

use synod_proto::value::v1::{DeleteRequest, DeleteResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};
use crate::item::Item;

impl Apply for DeleteRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Value;
    type Response = DeleteResponse;

    /// Rejects with `NotFound` when the value is not set, with `Conflict` when it has another version.
    fn apply(self, context: &mut Context<'_>) -> Outcome<DeleteResponse> {
        let found = super::read(&context.view())?.ok_or_else(super::not_set)?;
        Item::expect_version(Some(&found), self.expected_version)?;
        let removed = super::remove(context, found, false)?;
        Ok(DeleteResponse { previous: Some(removed) })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::{Value, versioned};

    #[test]
    fn bug_delete_with_wrong_version_changes_nothing() {
        let mut value = Value::new();
        let version = value.set(b"a", None).unwrap().version;
        assert_eq!(value.delete(version + 1), Err(ErrorCode::Conflict));
        assert_eq!(value.get(), Ok((b"a".to_vec(), version)));
    }

    #[test]
    fn it_answers_what_it_removed_and_works_once() {
        let mut value = Value::new();
        let version = value.set(b"a", None).unwrap().version;
        let removed = value.delete(version).unwrap().previous;
        assert_eq!(removed, Some(versioned(b"a", version)));
        assert_eq!(value.delete(0), Err(ErrorCode::NotFound));
        assert_eq!(value.get(), Err(ErrorCode::NotFound));
    }
}
