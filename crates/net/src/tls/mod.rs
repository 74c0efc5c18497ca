//! TLS in both directions, behind types of our own.
//!
//! Facing clients, [`ServerTls`] holds what all handshakes of a listener share (protocol versions, cipher suites, session
//! tickets and cache), and a [`CertificateLookup`] chooses the [`ServerIdentity`] for the name that the client asks for.
//! Facing upstreams, [`ClientTls`] is compiled once for each distinct combination of settings.

mod ciphers;
mod client;
mod identity;
mod plain;
mod server;
mod session;
mod sni;
mod verify;

#[cfg(test)]
mod tests;

use rustls::{CommonState, HandshakeKind, ProtocolVersion};

pub use ciphers::CipherSuite;
pub use client::{ClientTls, ClientTlsCache, ClientTlsSettings};
pub use identity::{ClientIdentity, ServerIdentity, TrustStore};
pub use server::{
    CertificateLookup, ClientCertificates, ServerChoice, ServerTls, ServerTlsSettings,
};
pub use sni::SniTable;

use crate::{Alpn, TlsInfo, TlsVersion};

/// What a finished handshake settled.
pub(crate) fn handshake_info(session: &CommonState, server_name: Option<&str>) -> TlsInfo {
    let alpn = session.alpn_protocol().map(|id| {
        if id == Alpn::Http2.id() {
            Alpn::Http2
        } else {
            Alpn::Http1
        }
    });
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => TlsVersion::Tls13,
    };
    let chain = session.peer_certificates().unwrap_or_default();
    TlsInfo {
        sni: server_name.map(|name| name.to_ascii_lowercase().into()),
        alpn,
        version,
        cipher: session
            .negotiated_cipher_suite()
            .map_or("", |suite| ciphers::openssl_name(suite.suite())),
        peer_certificates: chain
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}
