//! `value get`: the value and its version.

use synod_proto::value::v1::{GetRequest, GetResponse};
use synod_types::PrimitiveKind;

use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for GetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Value;
    type Response = GetResponse;

    /// Rejects with `NotFound` when the value is not set.
    fn answer(&self, view: &View<'_>) -> Outcome<GetResponse> {
        let item = super::read(view)?.ok_or_else(super::not_set)?;
        Ok(GetResponse { version: item.version.get(), value: item.value })
    }
}
