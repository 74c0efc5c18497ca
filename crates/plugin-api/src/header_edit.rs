//! Edits of a head that is not there yet.

use std::borrow::Cow;
use std::ops::Deref;

use http1::{Known, ResponseHead};

/// One edit of a head that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replaces what there is.
    Set(Cow<'static, str>, Vec<u8>),
    /// Replaces what there is of a name with a number; [`Known::Other`] is refused.
    SetKnown(Known, HeaderValue),
    /// Adds a line.
    Append(Cow<'static, str>, Vec<u8>),
    /// Removes what there is.
    Remove(Cow<'static, str>),
}

impl HeaderEdit {
    /// Makes the edit.
    ///
    /// # Errors
    /// When name or value cannot stand in a head.
    pub fn apply(&self, head: &mut ResponseHead) -> Result<(), http1::Error> {
        match self {
            Self::Set(name, value) => head.headers.set(&**name, value),
            Self::SetKnown(name, value) => head.headers.set(*name, value),
            Self::Append(name, value) => head.headers.append(&**name, value),
            Self::Remove(name) => {
                head.headers.remove(&**name);
                Ok(())
            }
        }
    }
}

/// What fits beside its length: every number of 64 bits.
const INLINE: usize = 22;

/// The value of a header. Short ones, such as numbers, take no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValue(Bytes);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bytes {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl From<&[u8]> for HeaderValue {
    fn from(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(bytes);
                Self(Bytes::Inline(length, inline))
            }
            _ => Self(Bytes::Heap(bytes.into())),
        }
    }
}

impl From<u64> for HeaderValue {
    /// The number in decimal.
    fn from(number: u64) -> Self {
        let mut digits = [b'0'; INLINE];
        let mut first = INLINE - 1;
        let mut rest = number;
        for (position, digit) in digits.iter_mut().enumerate().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            first = position;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        Self::from(&digits[first..])
    }
}

impl From<HeaderValue> for Vec<u8> {
    fn from(value: HeaderValue) -> Self {
        value.to_vec()
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for HeaderValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Bytes::Heap(bytes) => bytes,
        }
    }
}
