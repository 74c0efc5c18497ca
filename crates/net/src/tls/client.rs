//! TLS facing upstreams.

use std::sync::Arc;

use super::{ClientIdentity, TrustStore};
use crate::{Alpn, Error, TlsVersion};

/// How to speak TLS to an upstream. Server names are not part of it: they belong to the `connect::TargetTls`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientTlsSettings {
    /// Whom to trust; `None` is `tls_verify` off: any certificate is accepted, though its key still has to sign.
    pub trust: Option<TrustStore>,
    /// `tls_verify_depth`: how many intermediate certificates there may be between the upstream's and a trusted one.
    pub verify_depth: Option<u32>,
    /// The client certificate, if the upstream asks for one.
    pub identity: Option<ClientIdentity>,
    /// The application protocol to insist on; `None` offers none.
    pub alpn: Option<Alpn>,
    /// The protocol versions to offer; empty means all.
    pub versions: Vec<TlsVersion>,
}

/// Compiled settings with a session cache. Cheap to clone; equal if the settings are.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<ClientTlsSettings>);

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for ClientTls {}

impl std::hash::Hash for ClientTls {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl ClientTls {
    /// Compiles settings. Prefer [`ClientTlsCache::get`], which shares sessions between equal settings.
    pub fn new(settings: ClientTlsSettings) -> Result<Self, Error> {
        let _ = settings;
        unimplemented!()
    }
}

/// Compiled settings by their content, so that a new snapshot keeps the sessions and pools of the old one. Thread safe.
/// Holds weak references: settings that nothing uses any more are forgotten.
#[derive(Debug, Default)]
pub struct ClientTlsCache(());

impl ClientTlsCache {
    /// The compiled form, made if there is none yet.
    pub fn get(&self, settings: ClientTlsSettings) -> Result<ClientTls, Error> {
        ClientTls::new(settings)
    }
}
