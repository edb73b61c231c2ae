//! `counter increment`: adds, and answers the new number.

use synod_proto::counter::v1::{IncrementRequest, IncrementResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for IncrementRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Counter;
    type Response = IncrementResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<IncrementResponse> {
        let previous = super::read(&context.view())?;
        let value = previous.wrapping_add(self.delta);
        super::write(context, previous, value)?;
        Ok(IncrementResponse { value })
    }
}
