//! The commands with real processes, real files and real sockets.

mod backup;
mod declarative;
mod lifecycle;
mod place;
mod postgres;
mod words;
