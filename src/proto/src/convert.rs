//! Conversions between messages and the types of `synod-types`.

use synod_types::{Error, ErrorCode, Limits};

use crate::types::v1 as wire;

/// The name of the binary trailer in which a unary call carries an encoded [`wire::Error`] beside its status.
pub const ERROR_METADATA: &str = "synod-error-bin";

impl From<Error> for wire::Error {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().number(),
            message: error.message().to_owned(),
            may_have_happened: error.may_have_happened(),
            leader: None,
        }
    }
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        let code = ErrorCode::from_number(error.code);
        if error.may_have_happened {
            Self::ambiguous(code, error.message)
        } else {
            Self::new(code, error.message)
        }
    }
}

impl From<&Limits> for wire::Limits {
    fn from(limits: &Limits) -> Self {
        let Limits {
            request_bytes,
            key_bytes,
            value_bytes,
            transaction_operations,
            sessions,
            session_results,
            waiters,
            history_changes,
            history_bytes,
        } = *limits;
        Self {
            request_bytes,
            key_bytes,
            value_bytes,
            transaction_operations,
            sessions,
            session_results,
            waiters,
            history_changes,
            history_bytes,
        }
    }
}

impl From<&wire::Limits> for Limits {
    fn from(limits: &wire::Limits) -> Self {
        let default = Self::default();
        let or = |given, otherwise| if given == 0 { otherwise } else { given };
        Self {
            request_bytes: or(limits.request_bytes, default.request_bytes),
            key_bytes: or(limits.key_bytes, default.key_bytes),
            value_bytes: or(limits.value_bytes, default.value_bytes),
            transaction_operations: or(limits.transaction_operations, default.transaction_operations),
            sessions: or(limits.sessions, default.sessions),
            session_results: or(limits.session_results, default.session_results),
            waiters: or(limits.waiters, default.waiters),
            history_changes: or(limits.history_changes, default.history_changes),
            history_bytes: or(limits.history_bytes, default.history_bytes),
        }
    }
}

/// Errors as gRPC statuses and back, for unary calls.
#[cfg(feature = "grpc")]
mod status {
    use bytes::Bytes;
    use prost::Message as _;
    use tonic::metadata::MetadataValue;
    use tonic::{Code, Status};

    use super::{ERROR_METADATA, Error, ErrorCode, wire};

    /// The gRPC code that stands for ours, for callers that know only gRPC (C8 of the error table).
    fn grpc_code(code: ErrorCode) -> Code {
        match code {
            ErrorCode::Invalid => Code::InvalidArgument,
            ErrorCode::NotFound | ErrorCode::UnknownPrimitive => Code::NotFound,
            ErrorCode::AlreadyExists => Code::AlreadyExists,
            ErrorCode::Conflict | ErrorCode::NotHeld => Code::Aborted,
            ErrorCode::Forbidden => Code::PermissionDenied,
            ErrorCode::Expired | ErrorCode::Timeout => Code::DeadlineExceeded,
            ErrorCode::WrongPartition => Code::FailedPrecondition,
            ErrorCode::NotLeader | ErrorCode::Unavailable => Code::Unavailable,
            ErrorCode::ResourceExhausted => Code::ResourceExhausted,
            ErrorCode::Compacted => Code::OutOfRange,
            ErrorCode::SessionNotFound | ErrorCode::StaleSequence | ErrorCode::Corrupt => Code::DataLoss,
            ErrorCode::Unauthenticated => Code::Unauthenticated,
            ErrorCode::NotSupported => Code::Unimplemented,
            ErrorCode::Cancelled => Code::Cancelled,
            _ => Code::Internal,
        }
    }

    /// What a status means that carries no error of ours: it comes from a proxy, or from the transport.
    fn foreign(status: &Status) -> Error {
        let mut message = status.message().to_owned();
        let mut source = std::error::Error::source(status);
        while let Some(cause) = source {
            // The transport says "transport error", and only what is behind it says what happened.
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        match status.code() {
            Code::InvalidArgument => Error::new(ErrorCode::Invalid, message),
            Code::NotFound => Error::new(ErrorCode::NotFound, message),
            Code::PermissionDenied => Error::new(ErrorCode::Forbidden, message),
            Code::Unauthenticated => Error::new(ErrorCode::Unauthenticated, message),
            Code::Unimplemented => Error::new(ErrorCode::NotSupported, message),
            Code::ResourceExhausted => Error::new(ErrorCode::ResourceExhausted, message),
            Code::DeadlineExceeded => Error::ambiguous(ErrorCode::Timeout, message),
            _ => Error::ambiguous(ErrorCode::Unavailable, message),
        }
    }

    impl From<wire::Error> for Status {
        fn from(error: wire::Error) -> Self {
            let code = grpc_code(ErrorCode::from_number(error.code));
            let mut status = Self::new(code, error.message.clone());
            let encoded = MetadataValue::from_bytes(&error.encode_to_vec());
            status.metadata_mut().insert_bin(ERROR_METADATA, encoded);
            status
        }
    }

    impl wire::Error {
        /// The error that a failed call carries; one made from the bare status if it carries none of ours.
        pub fn from_status(status: &Status) -> Self {
            let carried = status.metadata().get_bin(ERROR_METADATA).and_then(|value| value.to_bytes().ok());
            carried
                .and_then(|bytes: Bytes| Self::decode(bytes).ok())
                .unwrap_or_else(|| foreign(status).into())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_error_survives_the_way_through_a_status() {
            for code in ErrorCode::ALL {
                let sent = wire::Error::from(Error::ambiguous(code, "why"));
                let status = Status::from(sent.clone());
                assert_eq!(wire::Error::from_status(&status), sent);
            }
        }

        #[test]
        fn a_broken_connection_is_ambiguous() {
            let error = Error::from(wire::Error::from_status(&Status::unknown("reset")));
            assert_eq!(error.code(), ErrorCode::Unavailable);
            assert!(error.may_have_happened());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_round_trip_and_zero_means_default() {
        let limits = Limits { waiters: 7, ..Limits::default() };
        assert_eq!(Limits::from(&wire::Limits::from(&limits)), limits);
        assert_eq!(Limits::from(&wire::Limits::default()), Limits::default());
    }
}
