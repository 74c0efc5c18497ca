//! Secrets of applications: how they are stored, and whether one that a client shows is right.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_lc_rs::{constant_time, digest, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use plugin_api::Background;

const PREFIX: &str = "$pbkdf2-sha512$";
const LENGTH: usize = 32;

/// Stored hashes that want more work than this are not computed.
const MOST_ITERATIONS: u32 = 1_000_000;

/// How many hashes are computed at once on a node; clients that come meanwhile are told to come again.
const MOST_AT_ONCE: usize = 32;

/// A secret as it is stored: PBKDF2 with SHA-512 in the PHC format, with the parameters that Kong uses.
pub(super) fn hash(secret: &str) -> Result<String, String> {
    const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| "no random bytes".to_owned())?;
    let mut hash = [0; LENGTH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        ITERATIONS,
        &salt,
        secret.as_bytes(),
        &mut hash,
    );
    Ok(format!(
        "{PREFIX}i={ITERATIONS},l={LENGTH}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}

/// Whether two secrets are the same, in a time that does not depend on where they differ or how long they are.
pub(super) fn is_same(given: &str, expected: &str) -> bool {
    let sum = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    let (given, expected) = (sum(given), sum(expected));
    constant_time::verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok()
}

/// Whether a secret has this hash. It takes milliseconds.
fn has_hash(secret: &str, stored: &str) -> bool {
    let Some(stored) = Stored::parse(stored) else {
        return false;
    };
    pbkdf2::verify(
        pbkdf2::PBKDF2_HMAC_SHA512,
        stored.iterations,
        &stored.salt,
        secret.as_bytes(),
        &stored.hash,
    )
    .is_ok()
}

/// A hash, taken apart.
struct Stored {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('$');
        let mut parameters = parts.next()?.split(',');
        let iterations = parameters.find_map(|parameter| parameter.strip_prefix("i="))?;
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let mut decoded = parts.map(|part| STANDARD_NO_PAD.decode(part).ok());
        let (salt, hash) = (decoded.next()??, decoded.next()??);
        let is_sound = iterations.get() <= MOST_ITERATIONS && hash.len() == LENGTH;
        (is_sound && decoded.next().is_none()).then_some(Self {
            iterations,
            salt,
            hash,
        })
    }
}

/// The hashes that are being computed on this node.
#[derive(Default)]
pub(super) struct Hashing(AtomicUsize);

/// One of them.
struct Place(Arc<Hashing>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hashing {
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        (before < MOST_AT_ONCE).then_some(place)
    }

    /// Whether a secret has this hash; `None` if too many ask at once.
    pub(super) async fn has_hash(
        self: &Arc<Self>,
        background: &dyn Background,
        secret: String,
        stored: String,
    ) -> Option<bool> {
        let place = self.enter()?;
        let is_right = Arc::new(AtomicBool::new(false));
        let outcome = is_right.clone();
        let work = move || {
            outcome.store(has_hash(&secret, &stored), Ordering::Release);
            drop(place);
        };
        background.compute(Box::new(work)).await;
        Some(is_right.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_one_secret() {
        let stored = hash("s3cret").expect("a hash");
        assert!(stored.starts_with("$pbkdf2-sha512$i=10000,l=32$"));
        assert!(has_hash("s3cret", &stored));
        for other in ["", "s3cre", "s3cret ", &stored] {
            assert!(!has_hash(other, &stored), "{other}");
        }
    }

    #[test]
    fn a_hash_that_kong_made_is_read() {
        // OpenSSL: PBKDF2, SHA-512, 10000 iterations, salt "saltsaltsaltsalt".
        let stored = "$pbkdf2-sha512$i=10000,l=32$c2FsdHNhbHRzYWx0c2FsdA$HNHgFTrmBRYJzUfGPB7dSIxbEbqMf1XzgrSX6OccT+k";
        assert!(has_hash("csec", stored));
    }

    #[test]
    fn what_is_no_hash_fits_nothing() {
        let sum = STANDARD_NO_PAD.encode([0; LENGTH]);
        for stored in [
            String::new(),
            "$".to_owned(),
            PREFIX.to_owned(),
            "$2b$12$abc".to_owned(),
            format!("{PREFIX}i=0,l=32$AA${sum}"),
            format!("{PREFIX}i=4294967295,l=32$AA${sum}"),
            format!("{PREFIX}i=1,l=32$AA${sum}$AA"),
            format!("{PREFIX}i=1,l=32$AA$"),
            format!("{PREFIX}i=1,l=32$*${sum}"),
            format!("{PREFIX}l=32$AA${sum}"),
        ] {
            assert!(!has_hash("", &stored), "{stored}");
        }
    }

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(is_same("abc", "abc"));
        assert!(!is_same("abc", "abd") && !is_same("abc", "abcd") && !is_same("", "a"));
    }

    #[test]
    fn only_so_many_hashes_are_computed_at_once() {
        let hashing = Arc::new(Hashing::default());
        let mut places: Vec<_> = (0..MOST_AT_ONCE).map(|_| hashing.enter()).collect();
        assert!(places.iter().all(Option::is_some) && hashing.enter().is_none());
        places.pop();
        assert!(hashing.enter().is_some());
    }
}
