//! The messages that Synod puts on the wire and into its log, generated from `proto/` at build time, and the
//! conversions between them and the shared types.
//!
//! One definition serves three places: the request message of a unary call is also the command that goes through
//! the log and the one that a session stream carries. What is marked PERSISTED in the `.proto` files is read back
//! from disks for ever: fields are added, never renumbered.
//!
//! With the feature `grpc` the clients and servers are there as well; without it the crate is plain data.
//!
//! What must not go here: behaviour.

mod convert;

pub use convert::ERROR_METADATA;

/// The descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Declares `pub mod $name { pub mod v1 { … } }` around a generated file.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1.
            #[allow(missing_docs, unreachable_pub, clippy::all, clippy::disallowed_types, rustdoc::all)]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/synod.", stringify!($name), ".v1.rs"));
            }
        }
    };
}

package! {
    /// Calls for operators of a node.
    admin
}
package! {
    /// Where clients find groups.
    controller
}
package! {
    /// The counter.
    counter
}
package! {
    /// The leader election.
    election
}
package! {
    /// The lock.
    lock
}
package! {
    /// What goes into the log and snapshots.
    log
}
package! {
    /// The map.
    map
}
package! {
    /// What replicas say to each other.
    peer
}
package! {
    /// Commands, queries and events of all kinds.
    primitive
}
package! {
    /// The session stream.
    session
}
package! {
    /// The set.
    set
}
package! {
    /// What all services share.
    types
}
package! {
    /// The value.
    value
}
