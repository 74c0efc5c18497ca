//! JSON written straight into a buffer.
//!
//! Perf: what needs no escapes, which is nearly everything, is found by one scan and copied as it is; the benchmark of
//! http-log shows it.

use std::borrow::Cow;

use serde::Serialize;

/// A JSON object whose members are written one after the other; [`end`](Self::end) closes it.
///
/// Invariant: names are written as they are, so that only those may be given to [`name`](Self::name) that need no escapes.
pub(super) struct Object<'a> {
    to: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(to: &'a mut Vec<u8>) -> Self {
        to.push(b'{');
        Self { to, is_empty: true }
    }

    pub(super) fn end(self) {
        self.to.push(b'}');
    }

    /// Begins a member, whose value is to be written next.
    #[inline]
    pub(super) fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.separate();
        self.to.push(b'"');
        self.to.extend_from_slice(name.as_bytes());
        self.to.extend_from_slice(b"\":");
        self.to
    }

    /// Begins a member whose name comes from outside.
    pub(super) fn foreign_name(&mut self, name: &[u8]) -> &mut Vec<u8> {
        self.separate();
        write_text(self.to, name);
        self.to.push(b':');
        self.to
    }

    fn separate(&mut self) {
        if !self.is_empty {
            self.to.push(b',');
        }
        self.is_empty = false;
    }

    pub(super) fn object(&mut self, name: &'static str) -> Object<'_> {
        Object::begin(self.name(name))
    }

    #[inline]
    pub(super) fn text(&mut self, name: &'static str, text: impl AsRef<[u8]>) {
        write_text(self.name(name), text.as_ref());
    }

    #[inline]
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        write_number(self.name(name), number);
    }

    /// A member that is written by its own rules.
    pub(super) fn value(
        &mut self,
        name: &'static str,
        value: &impl Serialize,
    ) -> serde_json::Result<()> {
        serde_json::to_writer(self.name(name), value)
    }
}

/// Writes the values of a list, each with `write`.
pub(super) fn write_list<T>(
    to: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    to.push(b'[');
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            to.push(b',');
        }
        write(to, value);
    }
    to.push(b']');
}

/// Writes a text. What is no UTF-8 becomes U+FFFD.
#[inline]
pub(super) fn write_text(to: &mut Vec<u8>, text: &[u8]) {
    to.push(b'"');
    write_escaped(to, text);
    to.push(b'"');
}

/// Writes a part of a text, without quotes.
#[inline]
pub(super) fn write_escaped(to: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        to.extend_from_slice(text);
    } else {
        write_special(to, text);
    }
}

pub(super) fn write_number(to: &mut Vec<u8>, number: u64) {
    // The largest number has 20 digits.
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), number);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        at -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Whether a text stands in JSON as it is.
///
/// Perf: there is no way out of the loop, so that it compares many bytes at once.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte >= 0x80);
    !text.iter().fold(false, |any, byte| any | special(*byte))
}

#[cold]
fn write_special(to: &mut Vec<u8>, text: &[u8]) {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    let start = to.len();
    // Text always becomes JSON, and a buffer always takes it.
    if serde_json::to_writer(&mut *to, &text).is_ok() {
        to.pop();
        to.remove(start);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn texts_come_back_as_they_were_however_strange() {
        let texts = [
            "",
            "plain",
            "a\"b\\c",
            "\u{0}\n\t\u{1f}",
            "\u{7f}",
            "é\u{1f98d}",
            "x\u{2028}",
            "a long text of more than sixty-four bytes, which has its only quote at the very end: \"",
        ];
        for text in texts {
            let mut written = Vec::new();
            write_text(&mut written, text.as_bytes());
            assert_eq!(
                serde_json::from_slice::<Value>(&written).unwrap(),
                json!(text)
            );
            assert!(written.iter().all(|byte| *byte >= b' '));
        }
        let mut written = Vec::new();
        write_text(&mut written, b"a\xffb\"");
        assert_eq!(
            serde_json::from_slice::<Value>(&written).unwrap(),
            json!("a\u{fffd}b\"")
        );
    }

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        for number in [0, 7, 10, 99, 100, 1_700_000_000_123, u64::MAX] {
            let mut written = Vec::new();
            write_number(&mut written, number);
            assert_eq!(written, number.to_string().as_bytes());
        }
    }

    #[test]
    fn objects_and_lists_are_separated() {
        let mut written = Vec::new();
        let mut object = Object::begin(&mut written);
        object.object("empty").end();
        object.text("text", "x");
        write_list(object.foreign_name(b"li\"st"), [1, 2], write_number);
        object.number("number", 3);
        object.end();
        let value: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(
            value,
            json!({ "empty": {}, "text": "x", "li\"st": [1, 2], "number": 3 })
        );
    }
}
