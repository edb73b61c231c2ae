//! `value insert`: the value, if it is not set.

use synod_proto::value::v1::{InsertRequest, InsertResponse};
use synod_types::{ErrorCode, PrimitiveKind};

use crate::apply::Apply;
use crate::bounds;
use crate::context::{Context, Failure, Outcome};

impl Apply for InsertRequest {
    const KIND: PrimitiveKind = PrimitiveKind::Value;
    type Response = InsertResponse;

    /// Rejects with `AlreadyExists` when the value is set.
    fn apply(self, context: &mut Context<'_>) -> Outcome<InsertResponse> {
        bounds::value(context.limits(), &self.value)?;
        bounds::ttl(self.ttl_ms)?;
        if let Some(found) = super::read(&context.view())? {
            let message = format!("the value is set, with version {}", found.version);
            return Err(Failure::rejected(ErrorCode::AlreadyExists, message));
        }
        let (version, _) = super::write(context, self.value, self.ttl_ms, None)?;
        Ok(InsertResponse { version: version.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Value;
    use super::*;

    #[test]
    fn it_never_overwrites() {
        let mut value = Value::new();
        let version = value.insert(b"a").unwrap().version;
        assert_eq!(value.insert(b"b"), Err(ErrorCode::AlreadyExists));
        assert_eq!(value.get(), Ok((b"a".to_vec(), version)));
        value.delete(0).unwrap();
        assert!(value.insert(b"b").unwrap().version > version);
    }
}
