//! `set len`: how many elements this partition holds.

use synod_proto::set::v1::{LenRequest, LenResponse};
use synod_types::PrimitiveKind;

use crate::context::{Outcome, View};
use crate::count;
use crate::query::Answer;

impl Answer for LenRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Response = LenResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<LenResponse> {
        Ok(LenResponse { elements: count::read(view)? })
    }
}
