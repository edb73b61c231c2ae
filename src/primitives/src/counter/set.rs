//! `counter set`: the number, whatever it was.

use synod_proto::counter::v1::{SetRequest, SetResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};

impl Apply for SetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Counter;
    type Response = SetResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<SetResponse> {
        let previous = super::read(&context.view())?;
        super::write(context, previous, self.value)?;
        Ok(SetResponse { value: self.value, previous })
    }
}

#[cfg(test)]
mod tests {
    use synod_proto::primitive::v1::command::Operation;

    use super::*;
    use crate::testing::Machine;

    #[test]
    fn it_answers_what_was_there_before() {
        let mut machine = Machine::new();
        let id = machine.create(PrimitiveKind::Counter, "c");
        for (value, previous) in [(5, 0), (-3, 5), (-3, -3)] {
            let request = SetRequest { value, ..SetRequest::default() };
            assert_eq!(
                machine.apply(id, Operation::CounterSet(request)),
                Ok(SetResponse { value, previous })
            );
        }
        assert_eq!(machine.take_events().len(), 2, "setting the same number is no change");
    }
}
