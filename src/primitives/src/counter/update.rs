//! `counter update`: compare and set.

use synod_proto::counter::v1::{UpdateRequest, UpdateResponse};
use synod_types::{ErrorCode, PrimitiveKind};

use crate::apply::Apply;
use crate::context::{Context, Failure, Outcome};

impl Apply for UpdateRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Counter;
    type Response = UpdateResponse;

    /// Rejects with `Conflict` when the counter is not what the caller expects.
    fn apply(self, context: &mut Context<'_>) -> Outcome<UpdateResponse> {
        let found = super::read(&context.view())?;
        if found != self.expected {
            let message = format!("the counter is {found}, not {} as expected", self.expected);
            return Err(Failure::rejected(ErrorCode::Conflict, message));
        }
        super::write(context, found, self.value)?;
        Ok(UpdateResponse { value: self.value })
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::primitive::v1::command::Operation;

    use super::*;
    use crate::testing::Machine;

    fn update(expected: i64, value: i64) -> Operation {
        Operation::CounterUpdate(UpdateRequest { expected, value, ..UpdateRequest::default() })
    }

    #[test]
    fn it_changes_only_what_is_as_expected() {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Counter, "c");
        assert_eq!(machine.apply(id, update(0, 7)), Ok(UpdateResponse { value: 7 }));
        let hash = machine.hash();
        assert_eq!(machine.apply::<UpdateResponse>(id, update(0, 9)), Err(ErrorCode::Conflict));
        assert_eq!(machine.hash(), hash);
    }
}
