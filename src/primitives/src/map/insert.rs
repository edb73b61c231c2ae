//! `map insert`: sets an entry that does not exist.

use synod_proto::map::v1::{InsertRequest, InsertResponse};
use synod_types::{ErrorCode, PrimitiveKind};

use super::{Plan, Step};
use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Failure, Outcome, View};

/// Rejects with `AlreadyExists` when the entry exists.
pub(super) fn plan(request: InsertRequest, view: &View<'_>) -> Outcome<Plan> {
    bounds::key(&view.environment, "key", &request.key)?;
    bounds::value(view.limits(), &request.value)?;
    bounds::ttl(request.ttl_ms)?;
    if let Some(found) = super::read(view, &request.key)? {
        let message = format!("the entry exists, with version {}", found.version);
        return Err(Failure::rejected(ErrorCode::AlreadyExists, message));
    }
    let InsertRequest { key, value, ttl_ms, .. } = request;
    Ok(Plan { key, step: Step::Write { value, ttl_ms, found: None } })
}

impl Apply for InsertRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = InsertResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<InsertResponse> {
        let done = plan(self, &context.view())?.perform(context)?;
        Ok(InsertResponse { version: done.version.get() })
    }
}

#[cfg(test)]
mod tests {
    use synod_types::ErrorCode;

    use super::super::tests::Map;

    #[test]
    fn it_never_overwrites() {
        let mut map = Map::new();
        let version = map.insert("k", b"a").unwrap().version;
        assert_eq!(map.insert("k", b"b"), Err(ErrorCode::AlreadyExists));
        assert_eq!(map.get("k"), Ok((b"a".to_vec(), version)));
        map.remove("k", 0).unwrap();
        assert!(map.insert("k", b"b").unwrap().version > version);
    }
}
