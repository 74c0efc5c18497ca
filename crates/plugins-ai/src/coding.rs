//! Compressed answers.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::{GzDecoder, GzEncoder};
use plugin_api::{Headers, Known};

/// The longest answer that is unpacked.
const MOST: u64 = 64 << 20;

/// Whether an answer says that it is packed with gzip.
pub fn is_packed(headers: &Headers) -> bool {
    let coding = headers.get(Known::ContentEncoding);
    coding.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"gzip"))
}

/// Whether a client takes answers that are packed with gzip.
pub fn takes_packed(headers: &Headers) -> bool {
    let accepted = headers.get(Known::AcceptEncoding).unwrap_or_default();
    accepted.split(|byte| *byte == b',').any(|coding| {
        let mut parts = coding.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let refused = parts.any(|part| {
            let part = part.trim_ascii();
            part.starts_with(b"q=0") && part[3..].iter().all(|byte| b".0".contains(byte))
        });
        name.eq_ignore_ascii_case(b"gzip") && !refused
    })
}

/// What is in it; `None` if it is damaged or too long.
pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut reader = MultiGzDecoder::new(packed).take(MOST + 1);
    reader.read_to_end(&mut plain).ok()?;
    (plain.len() as u64 <= MOST).then_some(plain)
}

/// The same, packed.
///
/// # Errors
/// When memory cannot be written to, which does not happen.
pub fn pack(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Unpacks a stream piece by piece.
pub struct Unpacking(GzDecoder<Vec<u8>>);

impl Unpacking {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self(GzDecoder::new(Vec::new()))
    }

    /// What is in the next piece; `None` if it is damaged.
    pub fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        self.0.write_all(piece).ok()?;
        self.0.flush().ok()?;
        Some(std::mem::take(self.0.get_mut()))
    }
}
