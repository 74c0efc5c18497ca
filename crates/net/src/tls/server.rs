//! TLS facing clients.

use std::sync::Arc;
use std::time::Duration;

use rustls::server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions};
use rustls::{DistinguishedName, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio_rustls::LazyConfigAcceptor;

use super::ciphers::{self, CipherSuite};
use super::identity::Keys;
use super::session::{self, SessionCache};
use super::verify::AnyClient;
use super::{ServerIdentity, TrustStore};
use crate::{Alpn, Error, HandshakeError, Stream, TlsVersion};

/// A ClientHello arrives in one piece of this size as a rule, so that looking at its first byte costs no system call
/// beyond the read that the handshake would make.
const FIRST_READ: usize = 2048;

/// The content type of a TLS handshake record, which is the first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 22;

/// What the handshakes of all listeners share; the names are those of Kong's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// `ssl_protocols`, by OpenSSL name (`TLSv1.2 TLSv1.3`). Older versions are an error that names them. Only used with
    /// [`CipherSuite::Custom`]: the other suites imply their versions, as in Kong.
    pub protocols: Vec<String>,
    /// `ssl_cipher_suite` and `ssl_ciphers`.
    pub cipher_suite: CipherSuite,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: bool,
    /// `ssl_session_tickets`.
    pub session_tickets: bool,
    /// `ssl_session_timeout`. Tickets live for at most twelve hours.
    pub session_timeout: Duration,
    /// `ssl_session_cache_size` in bytes; nginx counts some 4000 sessions a megabyte, and so does this. Zero keeps none.
    pub session_cache_bytes: u64,
}

impl Default for ServerTlsSettings {
    fn default() -> Self {
        Self {
            protocols: vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()],
            cipher_suite: CipherSuite::Intermediate,
            prefer_server_ciphers: true,
            session_tickets: true,
            session_timeout: Duration::from_secs(24 * 60 * 60),
            session_cache_bytes: 10 * 1024 * 1024,
        }
    }
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
    /// Whether the client may resume the session over a later connection, if the settings let it.
    pub is_resumable: bool,
}

impl From<ServerIdentity> for ServerChoice {
    fn from(identity: ServerIdentity) -> Self {
        Self {
            identity,
            client_certificates: ClientCertificates::Ignore,
            is_resumable: true,
        }
    }
}

/// Chooses by the name that a client asks for; the running configuration implements it.
pub trait CertificateLookup: Send + Sync {
    /// What to go on with; `server_name` is in lower case, and absent if the client sent none. `None` refuses the
    /// handshake.
    fn find(&self, server_name: Option<&str>) -> Option<ServerChoice>;
}

impl<F> CertificateLookup for F
where
    F: Fn(Option<&str>) -> Option<ServerChoice> + Send + Sync,
{
    fn find(&self, server_name: Option<&str>) -> Option<ServerChoice> {
        self(server_name)
    }
}

/// The shared half of every handshake: one a node, so that a session begun on one worker resumes on another.
pub struct ServerTls {
    selection: ciphers::Selection,
    provider: Arc<rustls::crypto::CryptoProvider>,
    prefer_server_ciphers: bool,
    /// Whether TLS 1.2 is on, and none of its suites signs with ECDSA.
    rsa_only: bool,
    tickets: Option<Arc<dyn ProducesTickets>>,
    sessions: Arc<dyn StoresServerSessions>,
    /// Configurations for clients that are not asked for a certificate, without and with HTTP/2. Each handshake clones
    /// one and puts its certificate in, which costs a few reference counts.
    templates: [ServerConfig; 2],
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("versions", &self.selection.versions)
            .finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Checks the settings.
    pub fn new(settings: &ServerTlsSettings) -> Result<Arc<Self>, Error> {
        let selection = ciphers::select(&settings.cipher_suite, &settings.protocols)?;
        let provider = Arc::new(selection.provider.clone());
        let sessions: Arc<dyn StoresServerSessions> = match settings.session_cache_bytes {
            0 => Arc::new(NoServerSessionStorage {}),
            bytes => Arc::new(SessionCache::new(bytes, settings.session_timeout)),
        };
        let tickets = if settings.session_tickets {
            Some(session::tickets(settings.session_timeout)?)
        } else {
            None
        };
        let versions = ciphers::library_versions(&selection.versions);
        let template = |http2| -> Result<ServerConfig, Error> {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&versions)
                .map_err(|error| Error::TlsSetting(error.to_string()))?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(NoCertificate));
            config.ignore_client_order = settings.prefer_server_ciphers;
            config.session_storage = Arc::clone(&sessions);
            if let Some(tickets) = &tickets {
                config.ticketer = Arc::clone(tickets);
            }
            config.alpn_protocols = alpn_offer(http2);
            Ok(config)
        };
        let templates = [template(false)?, template(true)?];
        let mut tls12 = selection
            .provider
            .cipher_suites
            .iter()
            .filter_map(|suite| match suite {
                rustls::SupportedCipherSuite::Tls12(suite) => Some(suite),
                rustls::SupportedCipherSuite::Tls13(_) => None,
            });
        let rsa_only = selection.versions.contains(&TlsVersion::Tls12)
            && tls12.all(|suite| suite.sign.iter().all(|scheme| !is_ecdsa(*scheme)));
        Ok(Arc::new(Self {
            selection,
            provider,
            prefer_server_ciphers: settings.prefer_server_ciphers,
            rsa_only,
            tickets,
            sessions,
            templates,
        }))
    }

    /// What of the settings could not be honoured and was left out, in sentences.
    pub fn warnings(&self) -> &[String] {
        &self.selection.warnings
    }

    /// The protocol versions that are offered.
    pub fn versions(&self) -> &[TlsVersion] {
        &self.selection.versions
    }

    /// Turns a plain connection into a TLS one: reads the ClientHello, asks `lookup`, finishes the handshake. `http2`
    /// adds `h2` to the ALPN offer. The timeout covers it all. The runtime it is polled on needs its timer.
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
        match tokio::time::timeout(timeout, self.shake_hands(stream, http2, lookup)).await {
            Ok(result) => result,
            Err(_) => Err(HandshakeError::TimedOut),
        }
    }

    async fn shake_hands(
        self: Arc<Self>,
        mut stream: Stream,
        http2: bool,
        lookup: Arc<dyn CertificateLookup>,
    ) -> Result<Stream, HandshakeError> {
        let mut first = Vec::with_capacity(FIRST_READ);
        stream
            .read_buf(&mut first)
            .await
            .map_err(HandshakeError::Failed)?;
        stream.unread(&first).map_err(HandshakeError::Failed)?;
        match first.first() {
            None => return Err(HandshakeError::Closed),
            Some(&HANDSHAKE_RECORD) => {}
            Some(_) => return Err(HandshakeError::NotTls(Box::new(stream))),
        }
        drop(first);
        let (socket, ends) = stream.into_plain().map_err(HandshakeError::Failed)?;
        let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket);
        let start = acceptor.await.map_err(HandshakeError::Failed)?;
        let config = {
            let hello = start.client_hello();
            let name = hello.server_name().map(str::to_ascii_lowercase);
            let Some(choice) = lookup.find(name.as_deref()) else {
                return Err(HandshakeError::NoCertificate(name.unwrap_or_default()));
            };
            self.config(&choice, http2)
                .map_err(|error| HandshakeError::Failed(std::io::Error::other(error)))?
        };
        let tls = start
            .into_stream(Arc::new(config))
            .await
            .map_err(HandshakeError::Failed)?;
        Ok(Stream::with_server_tls(tls, ends))
    }

    fn config(&self, choice: &ServerChoice, http2: bool) -> Result<ServerConfig, rustls::Error> {
        let identity = &choice.identity;
        let keys: Arc<Keys> = if self.rsa_only {
            identity.keys_rsa_first()
        } else {
            identity.keys()
        };
        let mut config = match &choice.client_certificates {
            ClientCertificates::Ignore => {
                let mut config = self.templates[usize::from(http2)].clone();
                config.cert_resolver = keys;
                config
            }
            ClientCertificates::Request(hint) => {
                let subjects: Vec<DistinguishedName> = hint
                    .as_ref()
                    .map_or_else(Vec::new, |trust| trust.roots().subjects());
                let verifier = AnyClient::new(subjects, &self.provider);
                let versions = ciphers::library_versions(&self.selection.versions);
                let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
                    .with_protocol_versions(&versions)?
                    .with_client_cert_verifier(Arc::new(verifier))
                    .with_cert_resolver(keys);
                config.ignore_client_order = self.prefer_server_ciphers;
                config.session_storage = Arc::clone(&self.sessions);
                if let Some(tickets) = &self.tickets {
                    config.ticketer = Arc::clone(tickets);
                }
                config.alpn_protocols = alpn_offer(http2);
                config
            }
        };
        if !choice.is_resumable {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ticketer = Arc::new(NoTickets);
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

fn is_ecdsa(scheme: rustls::SignatureScheme) -> bool {
    use rustls::SignatureScheme as Scheme;
    matches!(
        scheme,
        Scheme::ECDSA_NISTP256_SHA256
            | Scheme::ECDSA_NISTP384_SHA384
            | Scheme::ECDSA_NISTP521_SHA512
    )
}

/// What is offered by ALPN; clients that know neither are refused, as nginx refuses them.
fn alpn_offer(http2: bool) -> Vec<Vec<u8>> {
    let http1 = [Alpn::Http1.id().to_vec(), b"http/1.0".to_vec()];
    let http2 = http2.then(|| Alpn::Http2.id().to_vec());
    http2.into_iter().chain(http1).collect()
}

/// For sessions that are not to be resumed.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Stands in a template until the certificate is known.
#[derive(Debug)]
struct NoCertificate;

impl rustls::server::ResolvesServerCert for NoCertificate {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}
