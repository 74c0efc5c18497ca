//! Certificates and keys in PEM form: whether they are what they claim to be, and whether they belong together.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

const CURVES: [&EcdsaSigningAlgorithm; 4] = [
    &ECDSA_P256_SHA256_ASN1_SIGNING,
    &ECDSA_P384_SHA384_ASN1_SIGNING,
    &ECDSA_P521_SHA512_ASN1_SIGNING,
    &ECDSA_P256K1_SHA256_ASN1_SIGNING,
];

/// The facts about a certificate that declarations check.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: Vec<u8>,
    public_key: Vec<u8>,
    key_type: String,
    not_after: i64,
    authority: bool,
}

/// A key, by its public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a text; the error says why there is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (_, der) = block(text, &["CERTIFICATE", "X509 CERTIFICATE"])?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
        let key = certificate.public_key();
        let parsed = Self {
            public_key: key.subject_public_key.data.to_vec(),
            key_type: key.algorithm.algorithm.to_id_string(),
            not_after: certificate.validity().not_after.timestamp(),
            authority: matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca),
            der: Vec::new(),
        };
        Ok(Self { der, ..parsed })
    }

    /// The certificate's key, as its subject public key bits.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The object identifier of the key's type: the same for all RSA keys, and for all keys on elliptic curves.
    pub fn key_type(&self) -> &str {
        &self.key_type
    }

    /// The last second in which the certificate is valid, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether it may sign other certificates.
    pub fn is_authority(&self) -> bool {
        self.authority
    }

    /// The SHA-256 digest of the whole certificate in hexadecimal.
    pub fn sha256(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.der);
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl Key {
    /// Reads the first private key of a text: PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub fn parse_private(text: &str) -> Result<Self, String> {
        let (label, der) = block(text, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])?;
        let public_key = match label.as_str() {
            "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(&der)),
            "EC PRIVATE KEY" => ecdsa(|curve| EcdsaKeyPair::from_private_key_der(curve, &der).ok()),
            _ => rsa(RsaKeyPair::from_pkcs8(&der))
                .or_else(|reason| {
                    ecdsa(|curve| EcdsaKeyPair::from_pkcs8(curve, &der).ok()).map_err(|_| reason)
                })
                .or_else(
                    |reason| match Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                        Ok(pair) => Ok(pair.public_key().as_ref().to_vec()),
                        Err(_) => Err(reason),
                    },
                ),
        }?;
        Ok(Self { public_key })
    }

    /// Reads the first public key of a text: SPKI, or PKCS#1.
    pub fn parse_public(text: &str) -> Result<Self, String> {
        let (label, der) = block(text, &["PUBLIC KEY", "RSA PUBLIC KEY"])?;
        if label == "RSA PUBLIC KEY" {
            let (_, _) = RSAPublicKey::from_der(&der).map_err(|error| error.to_string())?;
            return Ok(Self { public_key: der });
        }
        let (_, key) = SubjectPublicKeyInfo::from_der(&der).map_err(|error| error.to_string())?;
        key.parsed().map_err(|error| error.to_string())?;
        Ok(Self {
            public_key: key.subject_public_key.data.to_vec(),
        })
    }

    /// The public half, as its subject public key bits.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }
}

/// The first block of a text with one of these labels.
fn block(text: &str, labels: &[&str]) -> Result<(String, Vec<u8>), String> {
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.map_err(|error| error.to_string())?;
        if labels.contains(&block.label.as_str()) {
            return Ok((block.label, block.contents));
        }
    }
    Err(format!(
        "no PEM block of type {} found",
        labels.join(" or ")
    ))
}

fn rsa(pair: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>) -> Result<Vec<u8>, String> {
    pair.map(|pair| pair.public_key().as_ref().to_vec())
        .map_err(|error| error.to_string())
}

fn ecdsa(
    read: impl Fn(&'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair>,
) -> Result<Vec<u8>, String> {
    let pair = CURVES.into_iter().find_map(read);
    pair.map(|pair| pair.public_key().as_ref().to_vec())
        .ok_or_else(|| "InvalidEncoding".to_owned())
}
