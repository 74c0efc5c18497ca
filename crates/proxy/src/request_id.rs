//! Request ids: 32 hexadecimal digits, unlikely to repeat, cheap to make; they name requests and protect nothing.

use std::fmt;

use stdx::SeededRandom;

/// The id of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

/// The digits of four bytes. Perf: all of them at once.
fn digits(bytes: u32) -> [u8; 8] {
    let mut nibbles = u64::from(bytes);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let letters_begin = u64::from(b'a' - b'0' - 10);
    (nibbles + 0x3030_3030_3030_3030 + letters * letters_begin).to_be_bytes()
}

impl RequestId {
    /// A new id.
    pub fn new(random: &mut SeededRandom) -> Self {
        let mut text = [0; 32];
        let words = [random.next_u64(), random.next_u64()];
        let halves = words
            .iter()
            .flat_map(|word| [(word >> 32) as u32, *word as u32]);
        for (place, half) in text.chunks_exact_mut(8).zip(halves) {
            place.copy_from_slice(&digits(half));
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
    fn digits_are_hexadecimal_and_in_order() {
        for number in [0, 0x1234_5678, 0x9abc_def0, u32::MAX, 0x0909_0a0a] {
            assert_eq!(digits(number), format!("{number:08x}").as_bytes());
        }
    }

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
