//! What the engine makes of bytes: tables of literals in and literals out, and properties that hold for all bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod differential;
mod heads;
mod properties;
mod relay;
mod requests;
mod responses;
mod support;
