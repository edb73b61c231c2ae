//! `set remove`: removes an element. Removing what is not there is no error.

use synod_proto::set::v1::{RemoveRequest, RemoveResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Outcome};

impl Apply for RemoveRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Response = RemoveResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<RemoveResponse> {
        bounds::key(&context.environment, "element", &self.element)?;
        let Some(item) = super::read(&context.view(), &self.element)? else {
            return Ok(RemoveResponse { removed: false });
        };
        super::remove(context, self.element, &item, false)?;
        Ok(RemoveResponse { removed: true })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Set;

    #[test]
    fn bug_remove_cancels_the_ttl() {
        let mut set = Set::new();
        set.add("a", Some(1_000)).unwrap();
        assert_eq!(set.remove("a"), Ok(true));
        set.add("a", None).unwrap();
        assert_eq!(set.machine.advance_ms(5_000), 0);
        assert_eq!(set.contains("a"), Ok(true));
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let mut set = Set::new();
        assert_eq!(set.remove("a"), Ok(false));
        assert_eq!(set.machine.take_events(), []);
    }
}
