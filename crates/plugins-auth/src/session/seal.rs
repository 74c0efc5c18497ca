//! Text that only those who know the secret can make or read.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugin_api::{Failure, Random};

/// How many random bytes lead to the key of a text. Each text has a key of its own, so that a nonce never comes twice.
const SALT: usize = 32;

/// The longest text that is looked at.
const LONGEST: usize = 1 << 16;

/// Seals with AES-256-GCM, under keys that HKDF derives from a secret.
pub(super) struct Seal(String);

impl Seal {
    pub(super) fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Seals a text; only who opens it for the same purpose can read it.
    pub(super) fn close(
        &self,
        random: &dyn Random,
        purpose: &str,
        text: &[u8],
    ) -> Result<String, Failure> {
        let mut salt = [0; SALT];
        random.fill(&mut salt);
        let failed = || Failure::new("a session cannot be sealed");
        let key = self.key(&salt).ok_or_else(failed)?;
        let mut sealed = text.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| failed())?;
        Ok(URL_SAFE_NO_PAD.encode([&salt[..], &sealed].concat()))
    }

    /// What was sealed for this purpose; `None` if it was not, or not with this secret.
    pub(super) fn open(&self, purpose: &str, text: &[u8]) -> Option<Vec<u8>> {
        if text.len() > LONGEST {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (salt, sealed) = bytes.split_at_mut_checked(SALT)?;
        let purpose = Aad::from(purpose.as_bytes());
        let opened = self.key(salt)?.open_in_place(nonce(), purpose, sealed);
        opened.ok().map(|opened| opened.to_vec())
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let extracted = Salt::new(HKDF_SHA256, salt).extract(self.0.as_bytes());
        let expanded = extracted.expand(&[b"silverback session"], &AES_256_GCM);
        Some(LessSafeKey::new(UnboundKey::from(expanded.ok()?)))
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
