//! `map remove`: removes an entry, if it has the version that the caller expects if one is given.

use synod_proto::map::v1::{RemoveRequest, RemoveResponse};
use synod_types::PrimitiveKind;

use super::{Plan, Step};
use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome, View};
use crate::item::Item;

/// Rejects with `NotFound` when there is no entry, with `Conflict` when it has another version.
pub(super) fn plan(request: RemoveRequest, view: &View<'_>) -> Outcome<Plan> {
    bounds::key(&view.environment, "key", &request.key)?;
    let found = super::read(view, &request.key)?.ok_or_else(super::no_entry)?;
    Item::expect_version(Some(&found), request.expected_version)?;
    Ok(Plan { key: request.key, step: Step::Remove(found) })
}

impl Apply for RemoveRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = RemoveResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<RemoveResponse> {
        let done = plan(self, &context.view())?.perform(context)?;
        Ok(RemoveResponse { removed: done.previous })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::{Map, versioned};

    #[test]
    fn bug_remove_with_wrong_version_changes_nothing() {
        let mut map = Map::new();
        let version = map.put("k", b"a", None).unwrap().version;
        assert_eq!(map.remove("k", version + 1), Err(ErrorCode::Conflict));
        assert_eq!(map.get("k"), Ok((b"a".to_vec(), version)));
    }

    #[test]
    fn bug_remove_cancels_the_ttl() {
        let mut map = Map::new();
        map.put("k", b"a", Some(1_000)).unwrap();
        map.remove("k", 0).unwrap();
        map.put("k", b"b", None).unwrap();
        assert_eq!(map.machine.advance_ms(5_000), 0);
        assert_eq!(map.get("k").unwrap().0, b"b");
    }

    #[test]
    fn it_answers_the_entry_with_its_own_version() {
        let mut map = Map::new();
        assert_eq!(map.remove("k", 0), Err(ErrorCode::NotFound));
        let version = map.put("k", b"a", None).unwrap().version;
        assert_eq!(map.remove("k", version).unwrap().removed, Some(versioned(b"a", version)));
        assert_eq!(map.remove("k", 0), Err(ErrorCode::NotFound));
    }
}
