//! Responses as outputs of the models.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use synod_proto::lock::v1::Mode;
use synod_proto::lock::v1::acquire_response::Outcome;
use synod_proto::{counter, election, lock, map, set, value};
use synod_types::ErrorCode;

use super::UnreadableResponse;
use crate::linearizability::models::primitives::{Input, Output};
use crate::linearizability::models::{Answer, EntryAction, EntryAnswer, Versioned};
use crate::linearizability::models::{
    counter as counters, election as elections, lock as locks, map as maps, set as sets,
};

type Result<T, E = UnreadableResponse> = std::result::Result<T, E>;

/// The output that the response to an input is, or its refusal. For a listing, see [`listing`].
///
/// # Errors
/// [`UnreadableResponse`] when the bytes are not a response of the kind that the input has.
pub fn answer(input: &Input, response: Answer<Bytes>) -> Result<Output> {
    Ok(match input {
        Input::Counter(asked) => Output::Counter(read(response, |bytes| counter(&asked.action, bytes))?),
        Input::Value(asked) => Output::Value(read(response, |bytes| value(&asked.action, bytes))?),
        Input::Map(asked) => Output::Map(read(response, |bytes| map(&asked.action, bytes))?),
        Input::Set(asked) => Output::Set(read(response, |bytes| set(&asked.action, bytes))?),
        Input::Lock(asked) => Output::Lock(read(response, |bytes| lock(&asked.action, bytes))?),
        Input::Election(asked) => Output::Election(read(response, |bytes| election(&asked.action, bytes))?),
    })
}

/// The output that all chunks of a listing together are.
///
/// # Errors
/// [`UnreadableResponse`] when the input is no listing, or the bytes are no chunks of it.
pub fn listing(input: &Input, chunks: &[Bytes]) -> Result<Output> {
    match input {
        Input::Map(maps::Input { action: maps::Action::List(_), .. }) => {
            let mut entries = Vec::new();
            for chunk in chunks {
                let chunk: map::v1::ListResponse = decode("map list", chunk.clone())?;
                entries.extend(
                    chunk
                        .entries
                        .into_iter()
                        .map(|entry| (entry.key, Versioned { value: entry.value, version: entry.version })),
                );
            }
            Ok(Output::Map(Ok(maps::Output::Listed(entries))))
        }
        Input::Set(sets::Input { action: sets::Action::List(_), .. }) => {
            let mut elements = Vec::new();
            for chunk in chunks {
                let chunk: set::v1::ListResponse = decode("set list", chunk.clone())?;
                elements.extend(chunk.elements);
            }
            Ok(Output::Set(Ok(sets::Output::Listed(elements))))
        }
        other => Err(unreadable(&format!("{other:?}"), "it is no listing")),
    }
}

fn read<T>(response: Answer<Bytes>, decode: impl FnOnce(Bytes) -> Result<T>) -> Result<Answer<T>> {
    match response {
        Ok(bytes) => decode(bytes).map(Ok),
        Err(code) => Ok(Err::<T, ErrorCode>(code)),
    }
}

fn unreadable(request: &str, reason: &str) -> UnreadableResponse {
    UnreadableResponse { request: request.to_owned(), reason: reason.to_owned() }
}

fn decode<M: Message + Default>(request: &str, bytes: Bytes) -> Result<M> {
    M::decode(bytes).map_err(|error| unreadable(request, &error.to_string()))
}

/// What must be there.
fn present<T>(request: &str, field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| unreadable(request, &format!("{field} is missing")))
}

fn counter(action: &counters::Action, bytes: Bytes) -> Result<counters::Number> {
    let told = |value| counters::Number { value, previous: None };
    Ok(match action {
        counters::Action::Get => told(decode::<counter::v1::GetResponse>("counter get", bytes)?.value),
        counters::Action::Set(_) => {
            let response: counter::v1::SetResponse = decode("counter set", bytes)?;
            counters::Number { value: response.value, previous: Some(response.previous) }
        }
        counters::Action::Update { .. } => {
            told(decode::<counter::v1::UpdateResponse>("counter update", bytes)?.value)
        }
        counters::Action::Increment(_) => {
            told(decode::<counter::v1::IncrementResponse>("counter increment", bytes)?.value)
        }
        counters::Action::Decrement(_) => {
            told(decode::<counter::v1::DecrementResponse>("counter decrement", bytes)?.value)
        }
    })
}

fn written(version: u64, previous: Option<Versioned>) -> EntryAnswer {
    EntryAnswer::Written { version, previous }
}

fn of_value(versioned: value::v1::Versioned) -> Versioned {
    Versioned { value: versioned.value, version: versioned.version }
}

fn value(action: &EntryAction, bytes: Bytes) -> Result<EntryAnswer> {
    Ok(match action {
        EntryAction::Get => {
            let response: value::v1::GetResponse = decode("value get", bytes)?;
            EntryAnswer::Found(Versioned { value: response.value, version: response.version })
        }
        EntryAction::Set { .. } => {
            let response: value::v1::SetResponse = decode("value set", bytes)?;
            written(response.version, response.previous.map(of_value))
        }
        EntryAction::Insert { .. } => {
            written(decode::<value::v1::InsertResponse>("value insert", bytes)?.version, None)
        }
        EntryAction::Update { .. } => {
            let response: value::v1::UpdateResponse = decode("value update", bytes)?;
            written(response.version, response.previous.map(of_value))
        }
        EntryAction::Remove { .. } => {
            let response: value::v1::DeleteResponse = decode("value delete", bytes)?;
            EntryAnswer::Removed(of_value(present("value delete", "previous", response.previous)?))
        }
        EntryAction::Put { .. } | EntryAction::Check { .. } => {
            return Err(unreadable(&format!("{action:?}"), "a value has no such operation"));
        }
    })
}

fn of_map(versioned: map::v1::Versioned) -> Versioned {
    Versioned { value: versioned.value, version: versioned.version }
}

fn map(action: &maps::Action, bytes: Bytes) -> Result<maps::Output> {
    Ok(match action {
        maps::Action::One(_, action) => maps::Output::One(map_entry(action, bytes)?),
        maps::Action::Transact(parts) => {
            let response: map::v1::TransactResponse = decode("map transact", bytes)?;
            if response.results.len() != parts.len() {
                return Err(unreadable("map transact", "it has not one result for each operation"));
            }
            let results = parts.iter().zip(response.results);
            let answers = results.map(|((_, action), result)| {
                let previous = result.previous.map(of_map);
                Ok(match action {
                    EntryAction::Remove { .. } => {
                        EntryAnswer::Removed(present("map transact", "the removed entry", previous)?)
                    }
                    EntryAction::Check { .. } => EntryAnswer::Checked(previous),
                    _ => written(result.version, previous),
                })
            });
            maps::Output::Transacted(answers.collect::<Result<_>>()?)
        }
        maps::Action::Len => maps::Output::Count(decode::<map::v1::LenResponse>("map len", bytes)?.entries),
        maps::Action::Clear => {
            maps::Output::Count(decode::<map::v1::ClearResponse>("map clear", bytes)?.removed)
        }
        maps::Action::List(_) => return Err(unreadable("map list", "it comes in chunks")),
    })
}

fn map_entry(action: &EntryAction, bytes: Bytes) -> Result<EntryAnswer> {
    Ok(match action {
        EntryAction::Get => {
            let response: map::v1::GetResponse = decode("map get", bytes)?;
            EntryAnswer::Found(Versioned { value: response.value, version: response.version })
        }
        EntryAction::Put { .. } => {
            let response: map::v1::PutResponse = decode("map put", bytes)?;
            written(response.version, response.previous.map(of_map))
        }
        EntryAction::Insert { .. } => {
            written(decode::<map::v1::InsertResponse>("map insert", bytes)?.version, None)
        }
        EntryAction::Update { .. } => {
            let response: map::v1::UpdateResponse = decode("map update", bytes)?;
            written(response.version, response.previous.map(of_map))
        }
        EntryAction::Remove { .. } => {
            let response: map::v1::RemoveResponse = decode("map remove", bytes)?;
            EntryAnswer::Removed(of_map(present("map remove", "removed", response.removed)?))
        }
        EntryAction::Set { .. } | EntryAction::Check { .. } => {
            return Err(unreadable(&format!("{action:?}"), "a map has no such operation"));
        }
    })
}

fn set(action: &sets::Action, bytes: Bytes) -> Result<sets::Output> {
    Ok(match action {
        sets::Action::Add { .. } => sets::Output::Is(decode::<set::v1::AddResponse>("set add", bytes)?.added),
        sets::Action::Remove(_) => {
            sets::Output::Is(decode::<set::v1::RemoveResponse>("set remove", bytes)?.removed)
        }
        sets::Action::Contains(_) => {
            sets::Output::Is(decode::<set::v1::ContainsResponse>("set contains", bytes)?.contains)
        }
        sets::Action::Len => sets::Output::Count(decode::<set::v1::LenResponse>("set len", bytes)?.elements),
        sets::Action::Clear => {
            sets::Output::Count(decode::<set::v1::ClearResponse>("set clear", bytes)?.removed)
        }
        sets::Action::List(_) => return Err(unreadable("set list", "it comes in chunks")),
    })
}

fn lock(action: &locks::Action, bytes: Bytes) -> Result<locks::Output> {
    Ok(match action {
        locks::Action::Acquire(_) => {
            let response: lock::v1::AcquireResponse = decode("lock acquire", bytes)?;
            match present("lock acquire", "outcome", response.outcome)? {
                Outcome::Granted(granted) => locks::Output::Granted(granted.fence),
                Outcome::Queued(queued) => locks::Output::Queued(queued.ahead),
            }
        }
        locks::Action::Renew { .. } => {
            let response: lock::v1::RenewResponse = decode("lock renew", bytes)?;
            locks::Output::Renewed(Duration::from_millis(response.lease_ms))
        }
        locks::Action::Release { .. } => {
            locks::Output::Released(decode::<lock::v1::ReleaseResponse>("lock release", bytes)?.was_held)
        }
        locks::Action::ForceRelease(_) => {
            let lock::v1::ForceReleaseResponse {} = decode("lock force release", bytes)?;
            locks::Output::Done
        }
        locks::Action::Get => locks::Output::Shown(shown(decode("lock get", bytes)?)),
        locks::Action::CheckFence(_) => {
            locks::Output::Current(decode::<lock::v1::CheckFenceResponse>("lock check fence", bytes)?.current)
        }
        locks::Action::EndSession(_) => locks::Output::Done,
    })
}

fn shown(response: lock::v1::GetResponse) -> locks::Shown {
    locks::Shown {
        reading: response.holders.iter().any(|holder| holder.mode() == Mode::Read),
        holders: response.holders.into_iter().map(|holder| (holder.request_id, holder.fence)).collect(),
        queue: response.queue.into_iter().map(|waiter| waiter.request_id).collect(),
        last_fence: response.last_fence,
    }
}

fn election(action: &elections::Action, bytes: Bytes) -> Result<elections::Output> {
    /// The term in a response of one type.
    macro_rules! term {
        ($response:ident) => {
            decode::<election::v1::$response>("election", bytes)?.term
        };
    }
    let term = match action {
        elections::Action::Enter { .. } => term!(EnterResponse),
        elections::Action::Withdraw { .. } => term!(WithdrawResponse),
        elections::Action::Anoint(_) => term!(AnointResponse),
        elections::Action::Promote(_) => term!(PromoteResponse),
        elections::Action::Demote(_) => term!(DemoteResponse),
        elections::Action::Evict(_) => term!(EvictResponse),
        elections::Action::Get => term!(GetResponse),
        elections::Action::EndSession(_) => return Ok(None),
    };
    let term = present("election", "term", term)?;
    Ok(Some(elections::Term { id: term.id, leader: term.leader, queue: term.queue }))
}
