//! Certificates of X.509 version 1: no extensions, so no alternative names and no constraints.
//!
//! `openssl x509 -req` makes them unless it is told otherwise, so that many private upstreams show one. The library does
//! not read them. Here they count as leaf certificates that a trusted certificate has issued directly.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use webpki::RawPublicKeyEntity;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::TrustStore;
use super::verify::verify_dates;

/// A parsed version 1 certificate.
pub(super) struct Plain<'a>(X509Certificate<'a>);

/// The certificate, if it is one of version 1.
pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<Plain<'a>> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    (rest.is_empty() && parsed.version() == X509Version::V1).then_some(Plain(parsed))
}

impl Plain<'_> {
    fn public_key(&self) -> SubjectPublicKeyInfoDer<'_> {
        SubjectPublicKeyInfoDer::from(self.0.public_key().raw)
    }

    pub(super) fn verify_tls13_signature(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.public_key(), signed, algorithms)
    }

    pub(super) fn verify_tls12_signature(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        let public_key = self.public_key();
        let key = RawPublicKeyEntity::try_from(&public_key).map_err(|_| bad_encoding())?;
        let (_, fitting) = algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        if fitting.iter().any(|algorithm| {
            key.verify_signature(*algorithm, message, signed.signature())
                .is_ok()
        }) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    /// Checks that a trusted certificate that is valid now has issued this one.
    pub(super) fn verify_issuer(
        &self,
        trust: &TrustStore,
        algorithms: &WebPkiSupportedAlgorithms,
        now: UnixTime,
    ) -> Result<(), Error> {
        for candidate in trust.certificates() {
            let Ok((_, issuer)) = X509Certificate::from_der(candidate) else {
                continue;
            };
            if issuer.subject().as_raw() == self.0.issuer().as_raw()
                && self.is_signed_by(&issuer, algorithms)
                && verify_dates(candidate, now).is_ok()
            {
                return Ok(());
            }
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn is_signed_by(
        &self,
        issuer: &X509Certificate<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let public_key = SubjectPublicKeyInfoDer::from(issuer.public_key().raw);
        let Ok(key) = RawPublicKeyEntity::try_from(&public_key) else {
            return false;
        };
        let (message, signature) = (
            self.0.tbs_certificate.as_ref(),
            &*self.0.signature_value.data,
        );
        algorithms
            .all
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
    }
}

fn bad_encoding() -> Error {
    CertificateError::BadEncoding.into()
}
