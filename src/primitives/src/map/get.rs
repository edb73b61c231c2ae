//! `map get`: one entry.

use synod_proto::map::v1::{GetRequest, GetResponse};
use synod_types::PrimitiveKind;

use crate::bounds;
use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for GetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = GetResponse;

    /// Rejects with `NotFound` when there is no entry.
    fn answer(&self, view: &View<'_>) -> Outcome<GetResponse> {
        bounds::key(&view.environment, "key", &self.key)?;
        let item = super::read(view, &self.key)?.ok_or_else(super::no_entry)?;
        Ok(GetResponse { version: item.version.get(), value: item.value })
    }
}
