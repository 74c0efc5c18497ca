//! Whole-gateway tests: bytes go through a real worker, and the tests look at the bytes that reach the upstream and at
//! the bytes that come back.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod bodies;
mod connections;
mod errors;
mod forwarding;
mod grpc;
mod handshakes;
mod hostile;
mod http2;
mod long_bodies;
mod plugins;
mod responses;
mod retries;
mod support;
mod targets;
mod upgrades;
