//! `counter get`: the number, 0 if it was never set.

use synod_proto::counter::v1::{GetRequest, GetResponse};
use synod_types::PrimitiveKind;

use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for GetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Counter;
    type Response = GetResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<GetResponse> {
        Ok(GetResponse { value: super::read(view)? })
    }
}
