//! TLS facing clients.

use std::sync::Arc;
use std::time::Duration;

use super::{ServerIdentity, TrustStore};
use crate::{Error, HandshakeError, Stream, TlsVersion};

/// `ssl_cipher_suite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CipherSuite {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy, and 1.3.
    Intermediate,
    /// As `Intermediate`: what else Kong offers under this name (TLS 1.0, CBC, RSA key exchange) is not implemented, and
    /// a warning says so.
    Old,
    /// AES-GCM suites only.
    Fips,
    /// `ssl_ciphers`: OpenSSL names separated by colons, in order of preference.
    Custom(String),
}

/// What the handshakes of all listeners share; the names are those of Kong's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// `ssl_protocols`, by OpenSSL name (`TLSv1.2 TLSv1.3`). Older versions are an error that names them. Only used with
    /// [`CipherSuite::Custom`]: the other suites imply their versions.
    pub protocols: Vec<String>,
    /// `ssl_cipher_suite` and `ssl_ciphers`.
    pub cipher_suite: CipherSuite,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: bool,
    /// `ssl_session_tickets`.
    pub session_tickets: bool,
    /// `ssl_session_timeout`.
    pub session_timeout: Duration,
    /// `ssl_session_cache_size` in bytes; nginx counts some 4000 sessions a megabyte, and so does this.
    pub session_cache_bytes: u64,
}

/// Whether a client is asked for a certificate.
#[derive(Debug, Clone, Default)]
pub enum ClientCertificates {
    /// It is not.
    #[default]
    Ignore,
    /// It is asked and may decline. The chain is not verified here (its key possession is): whoever reads
    /// `TlsInfo::peer_certificates` decides. The store's subjects are sent as a hint.
    Request(Option<TrustStore>),
}

/// What a handshake goes on with.
#[derive(Debug, Clone)]
pub struct ServerChoice {
    /// The certificate to show.
    pub identity: ServerIdentity,
    /// Whether to ask for one.
    pub client_certificates: ClientCertificates,
}

impl From<ServerIdentity> for ServerChoice {
    fn from(identity: ServerIdentity) -> Self {
        Self {
            identity,
            client_certificates: ClientCertificates::Ignore,
        }
    }
}

/// Chooses by the name that a client asks for; the running configuration implements it.
pub trait CertificateLookup: Send + Sync {
    /// What to go on with; `server_name` is in lower case, and absent if the client sent none. `None` refuses the handshake.
    fn find(&self, server_name: Option<&str>) -> Option<ServerChoice>;
}

/// The shared half of every handshake: one a node, so that a session begun on one worker resumes on another.
#[derive(Debug)]
pub struct ServerTls(());

impl ServerTls {
    /// Checks the settings.
    pub fn new(settings: &ServerTlsSettings) -> Result<Arc<Self>, Error> {
        let _ = settings;
        unimplemented!()
    }

    /// What of the settings could not be honoured and was left out, in sentences.
    pub fn warnings(&self) -> &[String] {
        unimplemented!()
    }

    /// The protocol versions that are offered.
    pub fn versions(&self) -> &[TlsVersion] {
        unimplemented!()
    }

    /// Turns a plain connection into a TLS one: reads the ClientHello, asks `lookup`, finishes the handshake. `http2` adds
    /// `h2` to the ALPN offer. The timeout covers it all.
    ///
    /// A handshake with an RSA key costs about a millisecond of CPU. The future is `Send` and does not depend on the
    /// runtime it is polled on, so that a worker may run it elsewhere: `handshakes.spawn(tls.accept(…)).await`; the
    /// connection stays registered with the runtime that accepted it.
    pub async fn accept(
        self: Arc<Self>,
        stream: Stream,
        http2: bool,
        lookup: Arc<dyn CertificateLookup>,
        timeout: Duration,
    ) -> Result<Stream, HandshakeError> {
        let _ = (stream, http2, lookup, timeout);
        unimplemented!()
    }
}
