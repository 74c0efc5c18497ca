//! Certificates with their keys, and the roots that are trusted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureAlgorithm};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use crate::Error;

/// What a server shows to its clients: a certificate chain with its key, and possibly a second one of another key type
/// (RSA beside ECDSA). Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerIdentity(Arc<Keys>);

/// The pairs of an identity, the cheapest to sign with first. Never empty.
#[derive(Debug)]
pub(super) struct Keys(Vec<Arc<CertifiedKey>>);

impl ServerIdentity {
    /// Reads PEM: chain (leaf first) and key, and the alternative pair if there is one. The key may be PKCS#8, PKCS#1 or
    /// SEC1. Every pair is checked to belong together.
    pub fn from_pem(
        cert: &str,
        key: &str,
        alternative: Option<(&str, &str)>,
    ) -> Result<Self, Error> {
        let mut pairs = vec![certified_key(cert, key)?];
        if let Some((cert, key)) = alternative {
            pairs.push(certified_key(cert, key)?);
        }
        pairs.sort_by_key(|pair| pair.key.algorithm() == SignatureAlgorithm::RSA);
        Ok(Self(Arc::new(Keys(pairs))))
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.0)
    }

    /// The pairs with RSA ones first, for servers whose TLS 1.2 suites all sign with RSA.
    pub(super) fn keys_rsa_first(&self) -> Arc<Keys> {
        let mut pairs = self.0.0.clone();
        pairs.sort_by_key(|pair| pair.key.algorithm() != SignatureAlgorithm::RSA);
        Arc::new(Keys(pairs))
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits =
            |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

/// What the gateway shows to an upstream that asks for a client certificate. Cheap to clone; equal by content.
#[derive(Debug, Clone)]
pub struct ClientIdentity(Arc<ClientKey>);

#[derive(Debug)]
struct ClientKey {
    pair: Arc<CertifiedKey>,
    fingerprint: u64,
}

impl ClientIdentity {
    /// Reads PEM: chain (leaf first) and key.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, Error> {
        let pair = certified_key(cert, key)?;
        let fingerprint = fingerprint(&pair.cert);
        Ok(Self(Arc::new(ClientKey { pair, fingerprint })))
    }

    pub(super) fn pair(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.pair)
    }
}

impl PartialEq for ClientIdentity {
    /// The certificate names its key, so that the key need not be compared.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.fingerprint == other.0.fingerprint && self.0.pair.cert == other.0.pair.cert)
    }
}

impl Eq for ClientIdentity {}

impl Hash for ClientIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

/// Trusted certificates. Cheap to clone; equal by content.
#[derive(Debug, Clone)]
pub struct TrustStore(Arc<Trusted>);

#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    fingerprint: u64,
}

impl TrustStore {
    /// Reads PEM texts with one or more certificates each.
    pub fn from_pem<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut certificates = Vec::new();
        for text in texts {
            certificates.append(&mut parse_chain(text)?);
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| Error::Certificate(error.to_string()))?;
        }
        Ok(Self::new(certificates, roots))
    }

    /// The operating system's roots. Certificates in it that cannot be read are skipped; none at all is an error.
    pub fn system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let usable: Vec<_> = found
            .certs
            .into_iter()
            .filter(|certificate| roots.add(certificate.clone()).is_ok())
            .collect();
        if usable.is_empty() {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(Error::Certificate(format!(
                "the system has no trusted certificates{}{}",
                if reasons.is_empty() { "" } else { ": " },
                reasons.join(", ")
            )));
        }
        Ok(Self::new(usable, roots))
    }

    /// What is trusted by either.
    pub fn union(&self, other: &Self) -> Self {
        let certificates = [
            self.0.certificates.as_slice(),
            other.0.certificates.as_slice(),
        ]
        .concat();
        let mut roots = RootCertStore::clone(&self.0.roots);
        roots.roots.extend(other.0.roots.roots.iter().cloned());
        Self::new(certificates, roots)
    }

    fn new(certificates: Vec<CertificateDer<'static>>, roots: RootCertStore) -> Self {
        let fingerprint = fingerprint(&certificates);
        Self(Arc::new(Trusted {
            certificates,
            roots: Arc::new(roots),
            fingerprint,
        }))
    }

    pub(super) fn roots(&self) -> &Arc<RootCertStore> {
        &self.0.roots
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.certificates
    }

    /// Whether exactly this certificate is in the store.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0
            .certificates
            .iter()
            .any(|trusted| trusted.as_ref() == certificate.as_ref())
    }
}

impl PartialEq for TrustStore {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.fingerprint == other.0.fingerprint
                && self.0.certificates == other.0.certificates)
    }
}

impl Eq for TrustStore {}

impl Hash for TrustStore {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

fn fingerprint(certificates: &[CertificateDer<'static>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    certificates.hash(&mut hasher);
    hasher.finish()
}

/// A chain with its key, which are checked to belong together.
fn certified_key(cert: &str, key: &str) -> Result<Arc<CertifiedKey>, Error> {
    let chain = parse_chain(cert)?;
    let key = parse_key(key)?;
    let key = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| Error::PrivateKey(error.to_string()))?;
    if let (Some(of_key), Some(leaf)) = (key.public_key(), chain.first())
        && let (Ok((_, of_key)), Ok((_, leaf))) = (
            SubjectPublicKeyInfo::from_der(&of_key),
            X509Certificate::from_der(leaf),
        )
        && of_key.subject_public_key.data != leaf.public_key().subject_public_key.data
    {
        return Err(Error::KeyMismatch);
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// All certificates of a PEM text; at least one.
fn parse_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Certificate(describe(&error)))?;
    if chain.is_empty() {
        return Err(Error::Certificate("no PEM certificate found".to_owned()));
    }
    for certificate in &chain {
        x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| Error::Certificate(format!("not an X.509 certificate: {error}")))?;
    }
    Ok(chain)
}

fn parse_key(text: &str) -> Result<PrivateKeyDer<'static>, Error> {
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Error::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::PrivateKey("no PEM private key found".to_owned()),
        other => Error::PrivateKey(describe(&other)),
    })
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::Base64Decode(_) => "the PEM text is not valid base64".to_owned(),
        pem::Error::MissingSectionEnd { .. } => "the PEM text has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "the PEM text has a broken BEGIN line".to_owned(),
        other => format!("not PEM: {other}"),
    }
}
