//! Whole nodes, in processes of their own, under everything that a production network and its people do to them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "every module here is a test"
)]

mod attacks;
mod caching;
mod cluster;
mod crash;
mod declarative;
mod fresh_configuration;
mod health;
mod hostile_clients;
mod hostile_http2;
mod kong_database;
mod ldap;
mod logging;
mod logs;
mod marks;
mod memory;
mod metrics;
mod names;
mod rate_limits;
mod refusal;
mod reload;
mod shutdown;
mod tokens;
mod upstream_answers;
mod upstream_faults;
