//! Identities: who and what. They are compared and looked up, never ordered by meaning.

use std::fmt;

/// Declares a transparent `u64` newtype with the conversions that all of ours share.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare number, for the wire and for arithmetic that the type does not offer.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
pub(crate) use number;

number! {
    /// A partition of a group: 0 to N-1, fixed for the life of the group.
    PartitionId, u32
}

number! {
    /// One incarnation of a replica. A wiped volume comes back under a fresh id, so that votes and
    /// acknowledgements of the old one are never taken for the new one's (raft-rs issue 571). 0 is never used.
    MemberId, u64
}

number! {
    /// A client's registration with one partition: the [`Index`](crate::Index) of the command that opened
    /// it. 0 means "no session": nothing is deduplicated.
    SessionId, u64
}

number! {
    /// The number a client gives to a request of its session: 1, 2, 3… A retry carries the same number.
    Sequence, u64
}

number! {
    /// The stable identity of a primitive: a hash of (application, kind, name), so that every partition and
    /// every client computes the same id. A collision is refused when the primitive is created.
    PrimitiveId, u64
}

impl PrimitiveId {
    /// The id of a primitive: the 64-bit XXH3 (seed 0) of `application \0 kind \0 name`.
    ///
    /// Part of the persisted format. None of the three contains a NUL byte, which
    /// [`Application`](crate::Application) and [`PrimitiveName`](crate::PrimitiveName) ensure.
    pub fn of(application: &str, kind: crate::PrimitiveKind, name: &str) -> Self {
        let mut bytes = Vec::with_capacity(application.len() + name.len() + 12);
        bytes.extend_from_slice(application.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(kind.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(name.as_bytes());
        Self(xxhash_rust::xxh3::xxh3_64(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use crate::{PrimitiveId, PrimitiveKind};

    #[test]
    fn primitive_id_is_pinned() {
        let id = PrimitiveId::of("default", PrimitiveKind::Map, "users");
        assert_eq!(id.get(), xxhash_rust::xxh3::xxh3_64(b"default\0map\0users"));
        assert_ne!(id, PrimitiveId::of("default", PrimitiveKind::Set, "users"));
        assert_ne!(id, PrimitiveId::of("other", PrimitiveKind::Map, "users"));
    }
}
