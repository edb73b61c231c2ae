//! `create`: makes a primitive exist. Touches `Registry` only.

use synod_proto::primitive::v1::{Create, CreateResponse, Description};
use synod_storage::state::{StateStore, Table};
use synod_types::{Application, ErrorCode, PrimitiveId, PrimitiveKind, PrimitiveName};

use super::{FORMAT, description_of, encode};
use crate::context::{Environment, Failure, Outcome};
use crate::keys;

/// Creates a primitive. Idempotent for the same application, kind and name.
///
/// Rejects with `Invalid` a name or kind that is not allowed, or an id that is not the hash of the three; with
/// `Forbidden` a name that the application uses for another kind, and the freak case of two names with one hash.
pub(crate) fn create(
    store: &mut dyn StateStore,
    environment: &Environment<'_>,
    primitive: PrimitiveId,
    command: Create,
) -> Outcome<CreateResponse> {
    let application = Application::new(command.application)?;
    let name = PrimitiveName::new(command.name)?;
    let kind = PrimitiveKind::from_number(command.kind).ok_or_else(|| {
        Failure::rejected(ErrorCode::Invalid, format!("unknown primitive kind number {}", command.kind))
    })?;
    if primitive != PrimitiveId::of(application.as_str(), kind, name.as_str()) {
        let message = "the primitive id is not the hash of application, kind and name";
        return Err(Failure::rejected(ErrorCode::Invalid, message));
    }
    if let Some(found) = description_of(store, primitive)? {
        if found.application == application.as_str() && found.name == name.as_str() {
            return Ok(CreateResponse { created: false });
        }
        let message = format!("{kind} \"{name}\" has the same id as \"{}\": use another name", found.name);
        return Err(Failure::rejected(ErrorCode::Forbidden, message));
    }
    let name_key = keys::registry_name(application.as_str(), name.as_str());
    if let Some(taken) = store.get(Table::Registry, &name_key)? {
        return Err(taken_by(store, &taken, &name, kind)?);
    }
    let description = Description {
        application: application.as_str().to_owned(),
        kind: kind.number(),
        name: name.as_str().to_owned(),
        primitive: primitive.get(),
        created_index: environment.index.get(),
    };
    let mut by_name = vec![FORMAT];
    by_name.extend_from_slice(&primitive.get().to_be_bytes());
    store.put(Table::Registry, &keys::registry_id(primitive), &encode(&description))?;
    store.put(Table::Registry, &name_key, &by_name)?;
    Ok(CreateResponse { created: true })
}

/// The refusal of a name that another kind has.
fn taken_by(
    store: &dyn StateStore,
    record: &[u8],
    name: &PrimitiveName,
    kind: PrimitiveKind,
) -> Outcome<Failure> {
    let id = match record.split_first_chunk::<1>() {
        Some(([FORMAT], id)) => id.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    };
    let other = id.ok_or_else(|| Failure::unreadable("primitive name"))?;
    let other = super::kind_of(store, PrimitiveId(other))?.map_or("other kind", PrimitiveKind::as_str);
    let message = format!("\"{name}\" is the name of a {other}, so it cannot be a {kind}: use another name");
    Ok(Failure::rejected(ErrorCode::Forbidden, message))
}

#[cfg(test)]
mod tests {
    use synod_proto::primitive::v1::command::Operation;

    use super::*;
    use crate::testing::Machine;

    fn create(machine: &mut Machine, kind: PrimitiveKind, name: &str) -> Result<CreateResponse, ErrorCode> {
        let primitive = PrimitiveId::of("default", kind, name);
        let command = Create { application: "default".into(), kind: kind.number(), name: name.into() };
        machine.apply(primitive, Operation::Create(command))
    }

    #[test]
    fn it_is_idempotent() {
        let mut machine = Machine::new();
        assert_eq!(create(&mut machine, PrimitiveKind::Map, "users").map(|r| r.created), Ok(true));
        let hash = machine.hash();
        assert_eq!(create(&mut machine, PrimitiveKind::Map, "users").map(|r| r.created), Ok(false));
        assert_eq!(machine.hash(), hash);
    }

    #[test]
    fn a_name_belongs_to_one_kind() {
        let mut machine = Machine::new();
        create(&mut machine, PrimitiveKind::Map, "users").unwrap();
        assert_eq!(create(&mut machine, PrimitiveKind::Set, "users"), Err(ErrorCode::Forbidden));
        assert_eq!(
            machine.last_error(),
            "\"users\" is the name of a map, so it cannot be a set: use another name"
        );
    }

    #[test]
    fn bad_names_kinds_and_ids_are_refused() {
        let mut machine = Machine::new();
        assert_eq!(create(&mut machine, PrimitiveKind::Map, ""), Err(ErrorCode::Invalid));
        let good = Create { application: "a".into(), kind: 1, name: "n".into() };
        let id = PrimitiveId::of("a", PrimitiveKind::Counter, "n");
        for (primitive, command) in [(id, Create { kind: 99, ..good.clone() }), (PrimitiveId(1), good)] {
            let refused: Result<CreateResponse, _> = machine.apply(primitive, Operation::Create(command));
            assert_eq!(refused, Err(ErrorCode::Invalid));
        }
    }
}
