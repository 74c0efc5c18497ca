//! JSON written straight into a buffer.
//!
//! Perf: what stands between two values is one piece of text, and a value that needs no escapes, as nearly all of them do,
//! is found by one scan and copied as it is (`cargo xtask bench --only plugins`, http-log).

use std::borrow::Cow;

use http1::{Field, Known};

/// JSON that is written piece by piece, from its first byte to its last.
pub(super) struct Json<'a>(pub &'a mut Vec<u8>);

impl Json<'_> {
    /// A piece of JSON as it stands: names and what is between values.
    #[inline(always)]
    pub fn raw(&mut self, piece: &'static str) -> &mut Self {
        self.0.extend_from_slice(piece.as_bytes());
        self
    }

    /// A text, or a part of one, between its quotes. What is no UTF-8 becomes U+FFFD.
    #[inline]
    pub fn text(&mut self, text: &[u8]) -> &mut Self {
        write_escaped(self.0, text);
        self
    }

    /// A text of ours, which needs no escapes.
    #[inline]
    pub fn plain(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    #[inline]
    pub fn number(&mut self, number: u64) -> &mut Self {
        write_number(self.0, number);
        self
    }
}

/// Begins a member with the name of a header line, in lower case, and with the quote before its value.
#[inline]
pub(super) fn begin_header(to: &mut Vec<u8>, line: &Field<'_>) {
    match HEADER_NAMES.get(line.known as usize) {
        Some((name, length)) => {
            // Perf: a copy of fixed length needs no call.
            let end = to.len() + length;
            to.extend_from_slice(name);
            to.truncate(end);
        }
        None => {
            // The name of a header is a token, which needs no escapes.
            to.push(b'"');
            let start = to.len();
            to.extend_from_slice(line.name);
            if let Some(name) = to.get_mut(start..) {
                name.make_ascii_lowercase();
            }
            to.extend_from_slice(b"\":\"");
        }
    }
}

/// Room for the longest known name of a header, with quotes, a colon and another quote.
const HEADER_NAME: usize = 32;

/// The known names of headers in lower case, as [`begin_header`] writes them, with their lengths.
static HEADER_NAMES: [([u8; HEADER_NAME], usize); Known::ALL.len()] = {
    let mut names = [([b' '; HEADER_NAME], 0); Known::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = header_name(Known::ALL[at].name());
        at += 1;
    }
    names
};

const fn header_name(name: &str) -> ([u8; HEADER_NAME], usize) {
    let mut member = [b' '; HEADER_NAME];
    let name = name.as_bytes();
    member[0] = b'"';
    let mut at = 0;
    while at < name.len() {
        member[at + 1] = name[at].to_ascii_lowercase();
        at += 1;
    }
    member[at + 1] = b'"';
    member[at + 2] = b':';
    member[at + 3] = b'"';
    (member, at + 4)
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

#[inline]
pub(super) fn write_number(to: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        // Perf: most times in milliseconds have one digit.
        Ok(digit @ 0..10) => to.push(b'0' + digit),
        _ => to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk() {
        let (words, _) = text.as_chunks();
        let words = words.iter().map(|word| special(u64::from_ne_bytes(*word)));
        // Perf: there is no way out of the loop, so that it compares many bytes at once.
        words.fold(special(u64::from_ne_bytes(*last)), |any, word| any | word) == 0
    } else {
        let blanks = u64::from_ne_bytes([b' '; 8]);
        let word = text
            .iter()
            .fold(blanks, |word, byte| word << 8 | u64::from(*byte));
        special(word) == 0
    }
}

/// Not 0 if one of eight bytes cannot stand in JSON as it is: control characters, the quote, the backslash, and what is no
/// ASCII.
#[inline(always)]
fn special(word: u64) -> u64 {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    // A byte below the limit borrows and shows it in its highest bit, as what is no ASCII does anyway. What a borrow does
    // to the bytes above it does not matter: there is a hit already.
    let below = |word: u64, limit: u8| word.wrapping_sub(all(limit));
    let control = below(word, b' ');
    let quote = below(word ^ all(b'"'), 1);
    let backslash = below(word ^ all(b'\\'), 1);
    (control | quote | backslash | word) & all(0x80)
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
            "x",
            "\"",
            "ab",
            "a\\c",
            "four",
            "fiv\n5",
            "seven\"7",
            "eight888",
            "of sixteen bytes",
            "of sixteen byte\"",
            "of seventeen byte",
            "eight: \"",
            "nine: \\ 9",
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
    fn what_needs_an_escape_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for special in ["\"", "\\", "\u{1f}", "é"] {
                    let mut text = "a".repeat(length);
                    text.replace_range(at..=at, special);
                    let mut written = Vec::new();
                    write_text(&mut written, text.as_bytes());
                    let read: String = serde_json::from_slice(&written).unwrap();
                    assert_eq!(read, text);
                }
            }
            let plain = "a".repeat(length);
            let mut written = Vec::new();
            write_text(&mut written, plain.as_bytes());
            assert_eq!(written, format!("\"{plain}\"").into_bytes());
        }
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
    fn lists_are_separated() {
        let mut written = Vec::new();
        write_list(&mut written, [1, 2], write_number);
        assert_eq!(written, b"[1,2]");
    }
}
