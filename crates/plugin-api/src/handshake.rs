//! What a plugin sees of a TLS handshake, and what it can change.

use std::net::SocketAddr;
use std::sync::Arc;

/// A client's TLS handshake: the client has said which name it wants, and has not been shown a certificate.
#[derive(Debug)]
pub struct Handshake<'a> {
    /// The name that the client asked for, in lower case.
    pub server_name: Option<&'a str>,
    /// Who the client is, as the PROXY protocol says or as the connection shows; `None` over a unix socket.
    pub client: Option<SocketAddr>,
    /// Who connected; `None` over a unix socket.
    pub peer: Option<SocketAddr>,
    /// The address that the client connected to.
    pub local: Option<SocketAddr>,
    /// Whether the configuration has a certificate for the name. The client is shown the node's own otherwise.
    pub is_configured: bool,
    /// What the client is shown instead.
    pub certificate: Option<Arc<KeyPair>>,
    /// Whether the client is asked for a certificate. It may decline; nobody verifies what it shows.
    pub asks_client: bool,
    /// Whether the session may be resumed over a later connection.
    pub is_resumable: bool,
}

impl<'a> Handshake<'a> {
    /// A handshake that nobody has changed, of a client that asks for `server_name`.
    pub fn new(server_name: Option<&'a str>) -> Self {
        Self {
            server_name,
            client: None,
            peer: None,
            local: None,
            is_configured: false,
            certificate: None,
            asks_client: false,
            is_resumable: true,
        }
    }
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The chain in PEM, the leaf first.
    pub certificates: String,
    /// The key in PEM.
    pub key: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("KeyPair");
        shown.field("certificates", &self.certificates);
        shown.finish_non_exhaustive()
    }
}
