//! What the engine makes of bytes: tables of literals in and literals out, and properties that hold for all bytes.

mod bodies;
mod differential;
mod heads;
mod properties;
mod requests;
mod responses;
mod support;
