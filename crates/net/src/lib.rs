//! Everything between the operating system's sockets and the gateway's protocols: listeners, connections, TLS, the
//! PROXY protocol, name resolution, keep-alive pools and HTTP/2.
//!
//! Invariant: no other crate names rustls, h2, hickory or socket2; their types do not appear in this crate's public API.
//! Nothing here knows routes, services or settings files: callers hand over plain structs.
//!
//! The life of a connection from a client: [`listen::ListenerSet`] binds sockets, a worker turns its share into
//! [`listen::Listener`]s and accepts a [`Stream`]; [`proxy_protocol::read`] and [`tls::ServerTls::accept`] transform it.
//! The life of a connection to an upstream: [`dns::Resolver`] gives an address, [`connect::Connector`] opens a [`Stream`]
//! to a [`connect::Target`], and [`pool::Pool`] keeps it for the next exchange.

pub mod connect;
pub mod dns;
mod error;
pub mod h2;
pub mod listen;
mod pipe;
pub mod pool;
pub mod proxy_protocol;
mod stream;
#[cfg(test)]
mod test_support;
pub mod tls;

pub use error::{ConnectError, ConnectFailure, Error, HandshakeError, ResolveError, Result};
pub use pipe::Pipe;
pub use stream::{Address, Alpn, Stream, TlsInfo, TlsVersion};
