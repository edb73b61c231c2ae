//! `lock check fence`: whether a fence is the one of a current grant.

use synod_proto::lock::v1::{CheckFenceRequest, CheckFenceResponse};
use synod_types::{Fence, PrimitiveKind};

use super::record::Holder;
use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for CheckFenceRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Lock;
    type Response = CheckFenceResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<CheckFenceResponse> {
        Ok(CheckFenceResponse { current: Holder::read(view, Fence(self.fence))?.is_some() })
    }
}
