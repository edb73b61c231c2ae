//! `map len`: how many entries this partition holds.

use synod_proto::map::v1::{LenRequest, LenResponse};
use synod_types::PrimitiveKind;

use crate::context::{Outcome, View};
use crate::count;
use crate::query::Answer;

impl Answer for LenRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Map;
    type Response = LenResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<LenResponse> {
        Ok(LenResponse { entries: count::read(view)? })
    }
}
