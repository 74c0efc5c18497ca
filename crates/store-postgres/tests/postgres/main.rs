//! The store against a real PostgreSQL, which each test starts for itself from the installed packages.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod compatibility;
mod connections;
mod contract;
mod counters;
mod events;
mod feed;
mod kong;
mod migrating;
mod outage;
mod peers;
mod server;
mod words;
