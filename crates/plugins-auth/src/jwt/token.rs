//! A token in its three parts, and whether its signature is good (RFC 7515, RFC 7518, RFC 8037).

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use entities::pem::Key;
use serde_json::{Map, Value};

/// Compat: padding may be there, and unused bits may be set, as Kong reads tokens.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token that could be read; nothing is verified yet.
pub(crate) struct Token {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
    pub algorithm: Algorithm,
    /// What is signed: the first two parts, as they came.
    signed: Box<[u8]>,
    signature: Vec<u8>,
}

impl Token {
    /// Takes a token apart; the error says what cannot be read.
    pub(crate) fn parse(token: &[u8]) -> Result<Self, &'static str> {
        let mut parts = token.splitn(3, |byte| *byte == b'.');
        let mut part = || parts.next().ok_or("invalid JSON");
        let (header, claims, signature) = (part()?, part()?, part()?);
        let signed = header.len() + 1 + claims.len();
        let (header, claims) = (parse_json(header)?, parse_json(claims)?);
        let Value::Object(header) = header else {
            return Err("invalid JSON");
        };
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.and_then(Algorithm::named).ok_or("invalid alg")?;
        let Value::Object(claims) = claims else {
            return Err("invalid claims");
        };
        Ok(Self {
            header,
            claims,
            algorithm,
            signed: token.get(..signed).unwrap_or_default().into(),
            signature: BASE64.decode(signature).map_err(|_| "invalid signature")?,
        })
    }

    /// Whether the signature was made by who has the secret. Compares in constant time.
    pub(crate) fn is_signed_with_secret(&self, secret: &[u8]) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => return false,
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret), &self.signed);
        constant_time::verify_slices_are_equal(tag.as_ref(), &self.signature).is_ok()
    }

    /// Whether the signature was made by who has the private half of a key; `None` if that is no key.
    ///
    /// A key of another kind than the algorithm's verifies nothing.
    pub(crate) fn is_signed_with_key(&self, pem: &str) -> Option<bool> {
        let key = Key::parse_public(pem).or_else(|_| Key::parse_private(pem));
        let key = key.ok()?;
        let Some(algorithm) = self.algorithm.verification() else {
            return Some(false);
        };
        let key = UnparsedPublicKey::new(algorithm, key.public_key());
        Some(key.verify(&self.signed, &self.signature).is_ok())
    }
}

/// How tokens are signed. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Whether both sides have the same secret.
    pub(crate) fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// What verifies signatures by a public key.
    ///
    /// Compat: RSA keys of 1024 bits are good enough for RS256 and RS512, because stored credentials have them.
    fn verification(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => return None,
            Self::Rs256 => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::EdDsa => &signature::ED25519,
        })
    }
}

/// A secret that is written in base64, in either alphabet.
pub(crate) fn decode_secret(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('+', "-").replace('/', "_")).ok()
}

fn parse_json(part: &[u8]) -> Result<Value, &'static str> {
    let text = BASE64.decode(part).map_err(|_| "invalid JSON")?;
    serde_json::from_slice(&text).map_err(|_| "invalid JSON")
}
