//! `counter decrement`: subtracts, and answers the new number.

use synod_proto::counter::v1::{DecrementRequest, DecrementResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for DecrementRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Counter;
    type Response = DecrementResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<DecrementResponse> {
        let previous = super::read(&context.view())?;
        let value = previous.wrapping_sub(self.delta);
        super::write(context, previous, value)?;
        Ok(DecrementResponse { value })
    }
}
