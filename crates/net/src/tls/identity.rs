//! Certificates with their keys, and the roots that are trusted.

use std::sync::Arc;

use crate::Error;

/// What a server shows to its clients: a certificate chain with its key, and possibly a second one of another key type
/// (RSA beside ECDSA). Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerIdentity(Arc<()>);

impl ServerIdentity {
    /// Reads PEM: chain (leaf first) and key, and the alternative pair if there is one. The key may be PKCS#8, PKCS#1 or
    /// SEC1. Every pair is checked to belong together.
    pub fn from_pem(
        cert: &str,
        key: &str,
        alternative: Option<(&str, &str)>,
    ) -> Result<Self, Error> {
        let _ = (cert, key, alternative);
        unimplemented!()
    }
}

/// What the gateway shows to an upstream that asks for a client certificate. Cheap to clone; equal by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity(Arc<()>);

impl ClientIdentity {
    /// Reads PEM: chain (leaf first) and key.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, Error> {
        let _ = (cert, key);
        unimplemented!()
    }
}

/// Trusted certificates. Cheap to clone; equal by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustStore(Arc<()>);

impl TrustStore {
    /// Reads PEM texts with one or more certificates each.
    pub fn from_pem<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let _ = texts.into_iter().count();
        unimplemented!()
    }

    /// The operating system's roots. Certificates in it that cannot be read are skipped.
    pub fn system() -> Result<Self, Error> {
        unimplemented!()
    }

    /// What is trusted by either.
    pub fn union(&self, other: &Self) -> Self {
        let _ = other;
        unimplemented!()
    }
}
