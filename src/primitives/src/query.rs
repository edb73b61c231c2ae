//! Queries, which change nothing and do not go through the log.

use bytes::Bytes;
use prost::Message;
use synod_proto::primitive::v1::Query;
use synod_proto::primitive::v1::query::Operation;
use synod_storage::state::{Fault, StateRead};
use synod_types::{Error, ErrorCode, PrimitiveId, PrimitiveKind};

use crate::context::{Environment, Failure, Outcome, View};
use crate::registry;

/// A query of one kind of primitive: the request message, made answerable.
pub(crate) trait Answer {
    /// The kind it is for.
    const KIND: PrimitiveKind;
    /// What it answers.
    type Response: Message;

    /// Reads.
    fn answer(&self, view: &View<'_>) -> Outcome<Self::Response>;
}

/// Answers a query with the encoded response, or the error that is its result.
///
/// # Errors
/// [`Fault`] when the store fails: the replica must stop.
pub fn query(
    store: &dyn StateRead,
    environment: Environment<'_>,
    query: &Query,
) -> Result<Result<Bytes, Error>, Fault> {
    let view = View { store, environment, primitive: PrimitiveId(query.primitive) };
    let answered = match &query.operation {
        Some(Operation::Describe(describe)) => {
            registry::describe(&view, describe).map(|response| response.encode_to_vec().into())
        }
        Some(Operation::CounterGet(query)) => answer(&view, query),
        Some(Operation::ValueGet(query)) => answer(&view, query),
        Some(Operation::MapGet(query)) => answer(&view, query),
        Some(Operation::MapLen(query)) => answer(&view, query),
        Some(Operation::SetContains(query)) => answer(&view, query),
        Some(Operation::SetLen(query)) => answer(&view, query),
        Some(Operation::LockGet(query)) => answer(&view, query),
        Some(Operation::LockCheckFence(query)) => answer(&view, query),
        Some(Operation::ElectionGet(query)) => answer(&view, query),
        None => {
            Err(Failure::rejected(ErrorCode::NotSupported, "this version of Synod does not know the query"))
        }
    };
    match answered {
        Ok(response) => Ok(Ok(response)),
        Err(Failure::Rejected(error)) => Ok(Err(error)),
        Err(Failure::Fault(fault)) => Err(fault),
    }
}

fn answer<A: Answer>(view: &View<'_>, query: &A) -> Outcome<Bytes> {
    registry::expect(view.store, view.primitive, A::KIND)?;
    query.answer(view).map(|response| response.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use synod_proto::counter::v1::{GetRequest, GetResponse};

    use super::*;
    use crate::testing::Machine;

    #[test]
    fn a_query_is_for_a_primitive_that_exists_and_of_its_kind() {
        let mut machine = Machine::new();
        let get = || Operation::CounterGet(GetRequest::default());
        let nothing: Result<GetResponse, _> = machine.query(PrimitiveId(7), get());
        assert_eq!(nothing, Err(ErrorCode::UnknownPrimitive));
        let set = machine.create(PrimitiveKind::Set, "s");
        let other: Result<GetResponse, _> = machine.query(set, get());
        assert_eq!(other, Err(ErrorCode::Invalid));
    }

    #[test]
    fn a_query_of_a_later_version_is_refused() {
        let machine = Machine::new();
        let refused = query(&machine.store, machine.environment(), &Query::default()).unwrap();
        assert_eq!(refused.map_err(|error| error.code()), Err(ErrorCode::NotSupported));
    }
}
