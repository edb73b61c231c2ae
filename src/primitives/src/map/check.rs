//! `check`, which is only part of transactions: requires a version of an entry, or that there is none.

use synod_proto::map::v1::CheckRequest;
use synod_types::ErrorCode;

use super::{Plan, Step};
use crate::bounds;
use crate::context::{Failure, Outcome, View};
use crate::item::Item;

/// Rejects with `Conflict` when the entry does not have the version, or exists although the version is 0.
pub(super) fn plan(request: CheckRequest, view: &View<'_>) -> Outcome<Plan> {
    bounds::key(&view.environment, "key", &request.key)?;
    let found = super::read(view, &request.key)?;
    match &found {
        Some(item) if request.expected_version == 0 => {
            let message = format!("the entry exists, with version {}", item.version);
            return Err(Failure::rejected(ErrorCode::Conflict, message));
        }
        _ => Item::expect_version(found.as_ref(), request.expected_version)?,
    }
    Ok(Plan { key: request.key, step: Step::Keep(found) })
}
