//! `map update`: sets an entry that exists, and has the version that the caller expects if one is given.

use synod_proto::map::v1::{UpdateRequest, UpdateResponse};
use synod_types::PrimitiveKind;

use super::{Plan, Step};
use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome, View};
use crate::item::Item;

/// Rejects with `NotFound` when there is no entry, with `Conflict` when it has another version.
pub(super) fn plan(request: UpdateRequest, view: &View<'_>) -> Outcome<Plan> {
    bounds::key(&view.environment, "key", &request.key)?;
    bounds::value(view.limits(), &request.value)?;
    bounds::ttl(request.ttl_ms)?;
    let found = super::read(view, &request.key)?.ok_or_else(super::no_entry)?;
    Item::expect_version(Some(&found), request.expected_version)?;
    let UpdateRequest { key, value, ttl_ms, .. } = request;
    Ok(Plan { key, step: Step::Write { value, ttl_ms, found: Some(found) } })
}

impl Apply for UpdateRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = UpdateResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<UpdateResponse> {
        let done = plan(self, &context.view())?.perform(context)?;
        Ok(UpdateResponse { version: done.version.get(), previous: done.previous })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::{Map, versioned};

    #[test]
    fn bug_update_with_wrong_version_changes_nothing() {
        let mut map = Map::new();
        let version = map.put("k", b"a", None).unwrap().version;
        assert_eq!(map.update("k", b"b", version + 1), Err(ErrorCode::Conflict));
        assert_eq!(map.get("k"), Ok((b"a".to_vec(), version)));
    }

    #[test]
    fn it_needs_an_entry_and_writes_even_equal_bytes() {
        let mut map = Map::new();
        assert_eq!(map.update("k", b"a", 0), Err(ErrorCode::NotFound));
        assert_eq!(map.update("k", b"a", 9), Err(ErrorCode::NotFound));
        let first = map.put("k", b"a", None).unwrap().version;
        let second = map.update("k", b"a", first).unwrap();
        assert!(second.version > first);
        assert_eq!(second.previous, Some(versioned(b"a", first)));
    }
}
