//! `set add`: adds an element that is not there.

use bytes::Bytes;
use synod_proto::set::v1::event::{Added, Event as What};
use synod_proto::set::v1::{AddRequest, AddResponse};
use synod_types::PrimitiveKind;

use crate::apply::Apply;
use crate::context::{Context, Outcome};
use crate::item::Item;
use crate::{bounds, count};

impl Apply for AddRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Set;
    type Response = AddResponse;

    fn apply(self, context: &mut Context<'_>) -> Outcome<AddResponse> {
        bounds::key(&context.environment, "element", &self.element)?;
        bounds::ttl(self.ttl_ms)?;
        if super::read(&context.view(), &self.element)?.is_some() {
            return Ok(AddResponse { added: false });
        }
        Item::write(context, self.element.as_bytes(), Bytes::new(), self.ttl_ms, None)?;
        count::increment(context)?;
        super::emit(context, self.element, What::Added(Added {}));
        Ok(AddResponse { added: true })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Set;

    #[test]
    fn what_is_there_keeps_its_ttl() {
        let mut set = Set::new();
        assert_eq!(set.add("a", Some(1_000)), Ok(true));
        set.machine.advance_ms(500);
        let hash = set.machine.hash();
        assert_eq!(set.add("a", Some(1_000)), Ok(false));
        assert_eq!(set.add("a", None), Ok(false));
        assert_eq!(set.machine.hash(), hash);
        assert_eq!(set.machine.advance_ms(500), 1);
        assert_eq!(set.contains("a"), Ok(false));
    }
}
