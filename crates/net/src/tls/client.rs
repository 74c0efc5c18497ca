//! TLS facing upstreams.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use super::verify::{AnyServer, TrustedServer};
use super::{ClientIdentity, TrustStore, ciphers};
use crate::{Alpn, ConnectError, ConnectFailure, Error, Stream, TlsVersion};

/// Session tickets that one configuration remembers; the library keeps eight for a server name.
const SESSION_TICKETS: usize = 1024;

/// How to speak TLS to an upstream. Server names are not part of it: they belong to [`crate::connect::TargetTls`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ClientTlsSettings {
    /// Whom to trust; `None` is `tls_verify` off: any certificate is accepted, though its key still has to sign.
    pub trust: Option<TrustStore>,
    /// `tls_verify_depth`: how many intermediate certificates there may be between the upstream's and a trusted one.
    pub verify_depth: Option<u32>,
    /// The client certificate, if the upstream asks for one.
    pub identity: Option<ClientIdentity>,
    /// The application protocol to offer; `None` offers none, as nginx does for HTTP/1 upstreams.
    pub alpn: Option<Alpn>,
    /// The protocol versions to offer; empty means all.
    pub versions: Vec<TlsVersion>,
}

/// Compiled settings with a session cache. Cheap to clone; equal if the settings are.
#[derive(Clone)]
pub struct ClientTls(Arc<Compiled>);

struct Compiled {
    settings: ClientTlsSettings,
    hash: u64,
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ClientTls").field(&self.0.settings).finish()
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash && self.0.settings == other.0.settings)
    }
}

impl Eq for ClientTls {}

impl Hash for ClientTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl ClientTls {
    /// Compiles settings. Prefer [`ClientTlsCache::get`], which shares sessions between equal settings.
    pub fn new(settings: ClientTlsSettings) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = match settings.versions.as_slice() {
            [] => ciphers::library_versions(&[TlsVersion::Tls12, TlsVersion::Tls13]),
            some => ciphers::library_versions(some),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| Error::TlsSetting(error.to_string()))?
            .dangerous();
        let builder = match &settings.trust {
            Some(trust) => builder.with_custom_certificate_verifier(Arc::new(TrustedServer::new(
                trust.clone(),
                settings.verify_depth,
                &provider,
            ))),
            None => builder.with_custom_certificate_verifier(Arc::new(AnyServer::new(&provider))),
        };
        let mut config = match &settings.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(OneIdentity(identity.pair())))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings
            .alpn
            .iter()
            .map(|alpn| alpn.id().to_vec())
            .collect();
        config.resumption =
            Resumption::store(Arc::new(ClientSessionMemoryCache::new(SESSION_TICKETS)));
        let hash = fixed_hash(&settings);
        Ok(Self(Arc::new(Compiled {
            settings,
            hash,
            config: Arc::new(config),
        })))
    }

    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The settings that this was made from.
    pub fn settings(&self) -> &ClientTlsSettings {
        &self.0.settings
    }

    /// Turns a plain connection to `address` into a TLS one. The caller bounds the time.
    pub async fn connect(
        &self,
        stream: Stream,
        name: &str,
        address: IpAddr,
    ) -> Result<Stream, ConnectError> {
        let failed = |kind| move |source| ConnectError { kind, source };
        let (socket, ends) = stream.into_plain().map_err(failed(ConnectFailure::Tls))?;
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let server_name = match ServerName::try_from(bare.to_owned()) {
            Ok(server_name) => server_name,
            // Without verification the name only serves as SNI, and what is no host name is not sent.
            Err(_) if self.0.settings.trust.is_none() => ServerName::from(address),
            Err(error) => {
                return Err(failed(ConnectFailure::Certificate)(std::io::Error::other(
                    error,
                )));
            }
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.0.config));
        let tls = connector
            .connect(server_name, socket)
            .await
            .map_err(|error| {
                let kind = match error
                    .get_ref()
                    .and_then(|source| source.downcast_ref::<rustls::Error>())
                {
                    Some(rustls::Error::InvalidCertificate(_)) => ConnectFailure::Certificate,
                    _ => ConnectFailure::Tls,
                };
                failed(kind)(error)
            })?;
        Ok(Stream::with_client_tls(tls, ends, Some(bare)))
    }
}

/// A hash that is the same for equal settings within this process.
fn fixed_hash(settings: &ClientTlsSettings) -> u64 {
    static STATE: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    STATE.get_or_init(RandomState::new).hash_one(settings)
}

/// Shows one identity to whoever asks, as OpenSSL does: the upstream decides whether it likes it.
#[derive(Debug)]
struct OneIdentity(Arc<CertifiedKey>);

impl ResolvesClientCert for OneIdentity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0
            .key
            .choose_scheme(schemes)
            .map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Compiled settings by their content, so that a new snapshot keeps the sessions and pools of the old one. Thread safe.
/// Holds weak references: settings that nothing uses any more are forgotten.
#[derive(Debug, Default)]
pub struct ClientTlsCache(Mutex<HashMap<ClientTlsSettings, Weak<Compiled>>>);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

impl ClientTlsCache {
    /// The compiled form, made if there is none yet.
    pub fn get(&self, settings: ClientTlsSettings) -> Result<ClientTls, Error> {
        let mut known = self.0.lock();
        if let Some(compiled) = known.get(&settings).and_then(Weak::upgrade) {
            return Ok(ClientTls(compiled));
        }
        known.retain(|_, compiled| compiled.strong_count() > 0);
        let made = ClientTls::new(settings)?;
        known.insert(made.0.settings.clone(), Arc::downgrade(&made.0));
        Ok(made)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
