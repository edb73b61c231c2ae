//! The decoders. Each takes bytes and says whether they were what they should be. It panics if it does not keep a
//! promise, and never for any other reason.

pub mod batch;
pub mod frame;
pub mod identity;
pub mod log;
pub mod manifest;
pub mod message;
pub mod snapshot;

/// A decoder, with what it should take.
pub struct Decoder {
    /// Names its corpus and its target.
    pub name: &'static str,
    /// Whether the bytes are good.
    pub run: fn(&[u8]) -> bool,
    /// Good bytes.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ALL: [Decoder; 7] = [
    Decoder { name: "batch", run: batch::run, seeds: batch::seeds },
    Decoder { name: "frame", run: frame::run, seeds: frame::seeds },
    Decoder { name: "identity", run: identity::run, seeds: identity::seeds },
    Decoder { name: "log", run: log::run, seeds: log::seeds },
    Decoder { name: "manifest", run: manifest::run, seeds: manifest::seeds },
    Decoder { name: "message", run: message::run, seeds: message::seeds },
    Decoder { name: "snapshot", run: snapshot::run, seeds: snapshot::seeds },
];
