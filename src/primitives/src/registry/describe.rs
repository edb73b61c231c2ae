//! `describe`: the primitives of this partition.

use synod_proto::primitive::v1::{Describe, DescribeResponse};
use synod_storage::state::Table;
use synod_types::PrimitiveId;

use super::{decode, description_of};
use crate::context::{Outcome, View};
use crate::keys;

/// Describes one primitive if the query names one, else all, or all of one application, in the order of their ids.
pub(crate) fn describe(view: &View<'_>, query: &Describe) -> Outcome<DescribeResponse> {
    let mut primitives = Vec::new();
    if view.primitive == PrimitiveId::default() {
        for pair in view.store.scan(Table::Registry, keys::registry_ids()) {
            let description = decode(&pair?.1)?;
            if query.application.is_empty() || description.application == query.application {
                primitives.push(description);
            }
        }
    } else {
        primitives.extend(description_of(view.store, view.primitive)?);
    }
    Ok(DescribeResponse { primitives })
}

#[cfg(test)]
mod tests {
    use synod_proto::primitive::v1::query::Operation;
    use synod_types::PrimitiveKind;

    use super::*;
    use crate::testing::Machine;

    fn names(machine: &mut Machine, primitive: PrimitiveId, application: &str) -> Vec<String> {
        let query = Operation::Describe(Describe { application: application.into() });
        let response: DescribeResponse = machine.query(primitive, query).unwrap();
        let mut names: Vec<_> = response.primitives.into_iter().map(|found| found.name).collect();
        names.sort();
        names
    }

    #[test]
    fn it_finds_one_or_all_or_those_of_an_application() {
        let mut machine = Machine::new();
        let map = machine.create(PrimitiveKind::Map, "users");
        machine.create(PrimitiveKind::Counter, "hits");
        assert_eq!(names(&mut machine, map, ""), ["users"]);
        assert_eq!(names(&mut machine, PrimitiveId(0), ""), ["hits", "users"]);
        assert_eq!(names(&mut machine, PrimitiveId(0), "default"), ["hits", "users"]);
        assert_eq!(names(&mut machine, PrimitiveId(0), "other").len(), 0);
        assert_eq!(names(&mut machine, PrimitiveId(1), "").len(), 0);
    }
}
