//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const FILES: [&str; 14] = [
    "synod/types/v1/types.proto",
    "synod/primitive/v1/reference.proto",
    "synod/primitive/v1/command.proto",
    "synod/counter/v1/counter.proto",
    "synod/value/v1/value.proto",
    "synod/map/v1/map.proto",
    "synod/set/v1/set.proto",
    "synod/lock/v1/lock.proto",
    "synod/election/v1/election.proto",
    "synod/session/v1/session.proto",
    "synod/log/v1/log.proto",
    "synod/peer/v1/peer.proto",
    "synod/admin/v1/admin.proto",
    "synod/controller/v1/controller.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let services = env::var_os("CARGO_FEATURE_GRPC").is_some();
    tonic_prost_build::configure()
        .build_client(services)
        .build_server(services)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
