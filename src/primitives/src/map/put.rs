//! `map put`: sets an entry, with an expected version only if it has it.

use synod_proto::map::v1::{PutRequest, PutResponse};
use synod_types::PrimitiveKind;

use super::{Plan, Step};
use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome, View};
use crate::item::Item;

/// Rejects with `Conflict` when a version is expected that the entry does not have. Without a TTL, the bytes that are
/// there already change nothing.
pub(super) fn plan(request: PutRequest, view: &View<'_>) -> Outcome<Plan> {
    bounds::key(&view.environment, "key", &request.key)?;
    bounds::value(view.limits(), &request.value)?;
    bounds::ttl(request.ttl_ms)?;
    let found = super::read(view, &request.key)?;
    Item::expect_version(found.as_ref(), request.expected_version)?;
    let PutRequest { key, value, ttl_ms, .. } = request;
    let same = found.as_ref().is_some_and(|item| item.value == value);
    let step =
        if same && ttl_ms.is_none() { Step::Keep(found) } else { Step::Write { value, ttl_ms, found } };
    Ok(Plan { key, step })
}

impl Apply for PutRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = PutResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<PutResponse> {
        let done = plan(self, &context.view())?.perform(context)?;
        Ok(PutResponse { version: done.version.get(), previous: done.previous })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::{Map, versioned};

    #[test]
    fn bug_put_with_version_on_missing_key_is_a_conflict() {
        let mut map = Map::new();
        assert_eq!(map.put_if("k", b"a", 7), Err(ErrorCode::Conflict));
        assert_eq!(map.machine.last_error(), "nothing is there, not version 7 as expected");
    }

    #[test]
    fn bug_put_with_wrong_version_changes_nothing() {
        let mut map = Map::new();
        let version = map.put("k", b"a", None).unwrap().version;
        assert_eq!(map.put_if("k", b"b", version + 1), Err(ErrorCode::Conflict));
        assert_eq!(map.get("k"), Ok((b"a".to_vec(), version)));
        assert!(map.put_if("k", b"b", version).unwrap().version > version);
    }

    #[test]
    fn equal_bytes_without_a_ttl_change_nothing() {
        let mut map = Map::new();
        let version = map.put("k", b"a", Some(1_000)).unwrap().version;
        map.machine.take_events();
        let hash = map.machine.hash();
        let again = map.put("k", b"a", None).unwrap();
        assert_eq!((again.version, again.previous), (version, Some(versioned(b"a", version))));
        assert_eq!(map.machine.hash(), hash);
        assert_eq!(map.machine.take_events(), []);
        assert_eq!(map.machine.advance_ms(1_000), 1, "the TTL was not touched");
    }

    #[test]
    fn equal_bytes_with_a_ttl_are_a_write() {
        let mut map = Map::new();
        let version = map.put("k", b"a", None).unwrap().version;
        assert!(map.put("k", b"a", Some(1_000)).unwrap().version > version);
        assert_eq!(map.machine.advance_ms(1_000), 1);
        assert_eq!(map.get("k"), Err(ErrorCode::NotFound));
    }

    #[test]
    fn equal_bytes_do_not_excuse_a_wrong_version() {
        let mut map = Map::new();
        let version = map.put("k", b"a", None).unwrap().version;
        assert_eq!(map.put_if("k", b"a", version + 1), Err(ErrorCode::Conflict));
    }
}
