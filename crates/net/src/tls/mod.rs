//! TLS in both directions, behind types of our own.
//!
//! Facing clients, [`ServerTls`] holds what all handshakes of a listener share (protocol versions, cipher suites, session
//! tickets and cache), and a [`CertificateLookup`] chooses the [`ServerIdentity`] for the name that the client asks for.
//! Facing upstreams, [`ClientTls`] is compiled once for each distinct combination of settings.

mod client;
mod identity;
mod server;
mod sni;

pub use client::{ClientTls, ClientTlsCache, ClientTlsSettings};
pub use identity::{ClientIdentity, ServerIdentity, TrustStore};
pub use server::{
    CertificateLookup, CipherSuite, ClientCertificates, ServerChoice, ServerTls, ServerTlsSettings,
};
pub use sni::SniTable;
