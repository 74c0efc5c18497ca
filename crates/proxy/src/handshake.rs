//! Phase *certificate*: what plugins say to a TLS handshake before the client is shown a certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use net::Stream;
use net::tls::{CertificateLookup, ClientCertificates, ServerChoice, ServerIdentity};
use plugin_api::{Failure, Handshake, Phase};

use crate::panics;
use crate::published::Published;

/// How the certificate of a connection is chosen: by the plugins, if any has work in handshakes.
pub(crate) fn lookup(
    published: Arc<Published>,
    stream: &Stream,
    preface: Option<SocketAddr>,
) -> Arc<dyn CertificateLookup> {
    if published.snapshot.plugins.in_handshakes().next().is_none() {
        return published;
    }
    let peer = stream.peer_addr().ip();
    Arc::new(Greeted {
        client: preface.or(peer),
        peer,
        local: stream.local_addr().ok().and_then(|address| address.ip()),
        published,
    })
}

/// A connection whose certificate plugins may choose.
struct Greeted {
    published: Arc<Published>,
    client: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

impl CertificateLookup for Greeted {
    fn find(&self, server_name: Option<&str>) -> Option<ServerChoice> {
        let snapshot = &self.published.snapshot;
        let mut handshake = Handshake {
            client: self.client,
            peer: self.peer,
            local: self.local,
            is_configured: snapshot.server_certificate(server_name).is_some(),
            ..Handshake::new(server_name)
        };
        for instance in snapshot.plugins.in_handshakes() {
            let done = panics::contained(|| instance.handler.certificate(&mut handshake));
            if let Err(failure) = done.unwrap_or_else(|| Err(Failure::new("a panic"))) {
                tracing::error!(
                    plugin = &*instance.name,
                    plugin_id = %instance.id,
                    phase = Phase::Certificate.name(),
                    server_name,
                    "a plugin refused a TLS handshake: {failure}"
                );
                return None;
            }
        }
        let mut choice = match handshake.certificate {
            Some(pair) => match ServerIdentity::from_pem(&pair.certificates, &pair.key, None) {
                Ok(identity) => ServerChoice::from(identity),
                Err(error) => {
                    tracing::error!(server_name, "the certificate of a plugin: {error}");
                    return None;
                }
            },
            None => self.published.find(server_name)?,
        };
        if handshake.asks_client {
            choice.client_certificates = ClientCertificates::Request(None);
        }
        choice.is_resumable = handshake.is_resumable;
        Some(choice)
    }
}
