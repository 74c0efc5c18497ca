//! Whole-gateway tests: bytes go through a real worker, and the tests look at the bytes that reach the upstream and at
//! the bytes that come back.

mod bodies;
mod connections;
mod errors;
mod forwarding;
mod hostile;
mod http2;
mod responses;
mod retries;
mod support;
mod upgrades;
