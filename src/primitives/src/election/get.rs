//! `election get`: the term, the leader and who waits.

use synod_proto::election::v1::{GetRequest, GetResponse};
use synod_types::PrimitiveKind;

use super::state::Election;
use crate::context::{Outcome, View};
use crate::query::Answer;

impl Answer for GetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Election;
    type Response = GetResponse;

    fn answer(&self, view: &View<'_>) -> Outcome<GetResponse> {
        Ok(GetResponse { term: Some(Election::read(view)?.term()) })
    }
}
