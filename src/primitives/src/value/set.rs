//! `value set`: the value, whatever it was.

use synod_proto::value::v1::{SetRequest, SetResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome};

impl Apply for SetRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Value;
    type Response = SetResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<SetResponse> {
        bounds::value(context.limits(), &self.value)?;
        bounds::ttl(self.ttl_ms)?;
        let found = super::read(&context.view())?;
        let (version, previous) = super::write(context, self.value, self.ttl_ms, found)?;
        Ok(SetResponse { version: version.get(), previous })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Value, versioned};

    #[test]
    fn it_answers_what_was_there_and_makes_a_version_even_of_equal_bytes() {
        let mut value = Value::new();
        let first = value.set(b"a", None).unwrap();
        assert_eq!(first.previous, None);
        let second = value.set(b"a", None).unwrap();
        assert!(second.version > first.version);
        assert_eq!(second.previous, Some(versioned(b"a", first.version)));
    }
}
