//! Certificate verifiers beside the library's own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TrustStore, plain};

/// Implements the signature half of a verifier: whoever shows a certificate has to own its key.
macro_rules! verify_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            match plain::parse(certificate) {
                Some(plain) => plain.verify_tls12_signature(message, signed, &self.algorithms),
                None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
            }
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            match plain::parse(certificate) {
                Some(plain) => plain.verify_tls13_signature(message, signed, &self.algorithms),
                None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
            }
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Accepts every server: `tls_verify` off.
#[derive(Debug)]
pub(super) struct AnyServer {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyServer {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}

/// Accepts a client with any certificate or none; whoever wants to know more looks at the chain afterwards.
#[derive(Debug)]
pub(super) struct AnyClient {
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    pub(super) fn new(subjects: Vec<DistinguishedName>, provider: &CryptoProvider) -> Self {
        Self {
            subjects,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    verify_signatures!();
}

/// Accepts servers whose certificate leads to a trusted one over at most so many intermediate certificates, and carries
/// the name.
///
/// Compat: OpenSSL, and so Kong, also accepts a certificate that is itself trusted, even one marked as an authority,
/// takes the common name of a certificate without alternative names for its host name, and knows version 1 certificates
/// ([`plain`]).
#[derive(Debug)]
pub(super) struct TrustedServer {
    trust: TrustStore,
    depth: Option<u32>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl TrustedServer {
    pub(super) fn new(trust: TrustStore, depth: Option<u32>, provider: &CryptoProvider) -> Self {
        Self {
            trust,
            depth,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn verify_chain(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let depth = self
            .depth
            .and_then(|depth| usize::try_from(depth).ok())
            .unwrap_or(usize::MAX);
        let is_short = |path: &VerifiedPath<'_>| {
            if path.intermediate_certificates().count() > depth {
                return Err(webpki::Error::PathLenConstraintViolated);
            }
            Ok(())
        };
        leaf.verify_for_usage(
            self.algorithms.all,
            &self.trust.roots().roots,
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&is_short),
        )
        .map(|_| ())
    }
}

impl ServerCertVerifier for TrustedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_trusted_itself = self.trust.contains(end_entity);
        if is_trusted_itself {
            verify_dates(end_entity, now)?;
        }
        if let Some(plain) = plain::parse(end_entity) {
            if !is_trusted_itself {
                verify_dates(end_entity, now)?;
                plain.verify_issuer(&self.trust, &self.algorithms, now)?;
            }
            if !common_name_matches(end_entity, server_name) {
                return Err(CertificateError::NotValidForName.into());
            }
            return Ok(ServerCertVerified::assertion());
        }
        let leaf = EndEntityCert::try_from(end_entity).map_err(certificate_error)?;
        if !is_trusted_itself {
            self.verify_chain(&leaf, intermediates, now)
                .map_err(certificate_error)?;
        }
        if let Err(error) = leaf.verify_is_valid_for_subject_name(server_name)
            && !common_name_matches(end_entity, server_name)
        {
            return Err(certificate_error(error));
        }
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}

/// Checks the validity period of a certificate.
pub(super) fn verify_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Whether a certificate without alternative names has the host name for its common name.
fn common_name_matches(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(wanted) = server_name else {
        return false;
    };
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let wanted = wanted.as_ref();
    parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .any(|name| {
            name.eq_ignore_ascii_case(wanted)
                || name.strip_prefix("*.").is_some_and(|rest| {
                    wanted.split_once('.').is_some_and(|(_, domain)| {
                        rest.contains('.') && domain.eq_ignore_ascii_case(rest)
                    })
                })
        })
}

fn certificate_error(error: webpki::Error) -> Error {
    let reason = match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::CertNotValidForName(_) => CertificateError::NotValidForName,
        webpki::Error::BadDer => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(reason)
}
