//! Request ids: 32 hexadecimal digits, unlikely to repeat, cheap to make; they name requests and protect nothing.

use std::fmt;

use stdx::SeededRandom;

/// The id of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

/// Every byte as two digits.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

impl RequestId {
    /// A new id.
    pub fn new(random: &mut SeededRandom) -> Self {
        let mut text = [0; 32];
        let words = [random.next_u64(), random.next_u64()];
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&PAIRS[usize::from(byte)]);
        }
        Self(text)
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hexadecimal_digits_and_differ() {
        let mut random = SeededRandom::new(1);
        let (a, b) = (RequestId::new(&mut random), RequestId::new(&mut random));
        assert!(
            a.as_str().len() == 32 && a.as_str().bytes().all(|digit| digit.is_ascii_hexdigit())
        );
        assert_ne!(a, b);
    }
}
