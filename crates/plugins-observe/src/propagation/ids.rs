//! Ids of traces and spans, and how they are written.

use std::fmt;

use plugin_api::Random;

/// The id of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// The id of a span; never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

/// How many bytes of a trace id are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Eight,
    Sixteen,
}

impl TraceId {
    /// A new one; of eight bytes, the others are zero.
    pub fn new(random: &dyn Random, width: Width) -> Self {
        let mut bytes = [0; 16];
        match width {
            Width::Eight => random.fill(&mut bytes[8..]),
            Width::Sixteen => random.fill(&mut bytes),
        }
        Self(u128::from_be_bytes(bytes).max(1))
    }

    /// From hexadecimal digits, at most 32.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 32 {
            return None;
        }
        Self::from_number(number(text, 16)?)
    }

    pub fn from_number(number: u128) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// In hexadecimal digits.
    pub fn hex(self, width: Width) -> String {
        match width {
            Width::Eight => format!("{:016x}", self.low()),
            Width::Sixteen => format!("{:032x}", self.0),
        }
    }

    /// The last eight bytes as a number.
    pub fn low(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Where it is among all ids, from 0 to 1, for whoever chooses some of them. Compat: the first eight bytes count, the
    /// least one first; of an id of eight bytes, these.
    pub fn fraction(self) -> f64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes();
        let number = match u64::from_le_bytes([a, b, c, d, e, f, g, h]) {
            0 => self.low().swap_bytes(),
            number => number,
        };
        number as f64 / 2_f64.powi(64)
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// A new one.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        Self(u64::from_be_bytes(bytes).max(1))
    }

    /// From hexadecimal digits, at most 16.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 16 {
            return None;
        }
        Self::from_number(u64::try_from(number(text, 16)?).ok()?)
    }

    /// From decimal digits.
    pub fn parse_decimal(text: &str) -> Option<Self> {
        Self::from_number(u64::try_from(number(text, 10)?).ok()?)
    }

    pub fn from_number(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    pub fn number(self) -> u64 {
        self.0
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// A number without a sign or blanks.
pub fn number(text: &str, radix: u32) -> Option<u128> {
    let is_digit = |digit: char| digit.is_digit(radix);
    if !text.chars().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, radix).ok()
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex(Width::Sixteen))
    }
}
