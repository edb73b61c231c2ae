# One image is the operator and the replicas: a static binary and nothing else.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# Optimised as a whole: it takes minutes more, and four megabytes less.
ENV CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
RUN cargo build --release --locked --package synod-cli --target x86_64-unknown-linux-gnu

FROM scratch
COPY --from=build /source/target/x86_64-unknown-linux-gnu/release/synod /synod
USER 65532:65532
ENTRYPOINT ["/synod"]
