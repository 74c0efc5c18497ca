//! What a client says in `Authorization`, what it signed, and whether it did.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::Exchange;

use crate::encoding;

/// The parts of `hmac username="…", algorithm="…", headers="…", signature="…"`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub username: String,
    pub algorithm: String,
    /// The names of what is signed, in this order.
    pub headers: Vec<String>,
    /// Nothing if it cannot be read, which no signature is the same as.
    signature: Vec<u8>,
}

impl Claim {
    /// Reads the value of a header; `None` if it is of another form.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_start();
        let (scheme, mut rest) = text.split_at_checked(4)?;
        if !matches!(scheme, "hmac" | "Hmac") {
            return None;
        }
        let mut part = |name: &str, is_first: bool| {
            if !is_first {
                rest = rest.strip_prefix(',')?;
            }
            let value = rest.trim_start().strip_prefix(name)?.strip_prefix("=\"")?;
            let (value, after) = value.split_once('"')?;
            rest = after;
            (!value.is_empty()).then(|| value.to_owned())
        };
        Some(Self {
            username: part("username", true)?,
            algorithm: part("algorithm", false)?,
            headers: part("headers", false)?
                .split(' ')
                .map(str::to_owned)
                .collect(),
            signature: encoding::decode(part("signature", false)?.as_bytes()).unwrap_or_default(),
        })
    }

    /// Whether who has the secret signed the request. Compares in constant time.
    pub fn is_signed(&self, exchange: &Exchange<'_>, secret: &str) -> bool {
        let algorithm = match self.algorithm.as_str() {
            "hmac-sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            "hmac-sha256" => hmac::HMAC_SHA256,
            "hmac-sha384" => hmac::HMAC_SHA384,
            "hmac-sha512" => hmac::HMAC_SHA512,
            _ => return false,
        };
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        let tag = hmac::sign(&key, &self.signed_text(exchange));
        constant_time::verify_slices_are_equal(tag.as_ref(), &self.signature).is_ok()
    }

    /// What is signed, a line for each name.
    fn signed_text(&self, exchange: &Exchange<'_>) -> Vec<u8> {
        let head = &exchange.head;
        let mut text = Vec::new();
        for (at, name) in self.headers.iter().enumerate() {
            if at > 0 {
                text.push(b'\n');
            }
            let value = head.headers.get(name.as_str());
            match (value, name.as_str()) {
                (Some(value), _) => {
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(b": ");
                    text.extend_from_slice(value);
                }
                (None, "@request-target") => {
                    let method = head.method().as_str().to_lowercase();
                    text.extend_from_slice(format!("{name}: {method} ").as_bytes());
                    text.extend_from_slice(&asked(exchange));
                }
                (None, "request-line") => {
                    text.extend_from_slice(head.method().as_str().as_bytes());
                    text.push(b' ');
                    text.extend_from_slice(&asked(exchange));
                    text.extend_from_slice(version(exchange));
                }
                (None, _) => {
                    text.extend_from_slice(name.as_bytes());
                    text.push(b':');
                }
            }
        }
        text
    }
}

/// Path and query as the client sent them.
fn asked(exchange: &Exchange<'_>) -> Vec<u8> {
    let mut asked = exchange.head.path().to_vec();
    if let Some(query) = exchange.head.query() {
        asked.push(b'?');
        asked.extend_from_slice(query);
    }
    asked
}

fn version(exchange: &Exchange<'_>) -> &'static [u8] {
    use plugin_api::Version;
    match exchange.head.version() {
        _ if exchange.connection.http2 => b" HTTP/2.0",
        Version::Http10 => b" HTTP/1.0",
        Version::Http11 | Version::Later => b" HTTP/1.1",
    }
}

/// Whether a `Digest` is that of the body; without a body there need not be one.
pub(super) fn is_digest_right(exchange: &Exchange<'_>) -> bool {
    let body = exchange.body();
    if exchange.work.body_length != body.len() as u64 {
        // What is not held in memory cannot be checked.
        return false;
    }
    match exchange.head.headers.get("Digest") {
        None => body.is_empty(),
        Some(given) => {
            let sum = digest::digest(&digest::SHA256, body);
            let expected = format!("SHA-256={}", STANDARD.encode(sum));
            constant_time::verify_slices_are_equal(expected.as_bytes(), given).is_ok()
        }
    }
}
