//! `set contains`: whether an element is there.

use synod_proto::set::v1::{ContainsRequest, ContainsResponse};
use synod_types::PrimitiveKind;

use crate::bounds;
use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for ContainsRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Response = ContainsResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<ContainsResponse> {
        bounds::key(&view.environment, "element", &self.element)?;
        Ok(ContainsResponse { contains: super::read(view, &self.element)?.is_some() })
    }
}
