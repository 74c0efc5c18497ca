//! Reading lines out of a growing buffer, and one header line into the index.

use memchr::memchr;

use crate::error::Error;
use crate::headers::{Index, MAX_LINES};
use crate::known::Known;
use crate::token::{NAME_BYTES, NameByte, trim};

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, its end included (nginx: the size in `large_client_header_buffers`).
    pub line: usize,
    /// The longest head, the empty line included (nginx: number times size).
    pub head: usize,
    /// The number of header lines.
    pub headers: usize,
    /// All chunk extensions of one body together.
    pub chunk_extensions: usize,
    /// The trailer section of one body.
    pub trailer: usize,
}

impl Default for Limits {
    /// Four lines of 8 KiB as in nginx, 1000 lines, and 16 KiB each for chunk extensions and trailers.
    fn default() -> Limits {
        Limits {
            line: 8 * 1024,
            head: 32 * 1024,
            headers: 1000,
            chunk_extensions: 16 * 1024,
            trailer: 16 * 1024,
        }
    }
}

impl Limits {
    /// Limits for the heads of upstreams: one line may be as long as the whole head, which is at most 64 KiB.
    pub fn for_upstream() -> Limits {
        Limits {
            line: 64 * 1024,
            head: 64 * 1024,
            ..Limits::default()
        }
    }
}

/// A line of the input: from `start` to `end` without its line end, the next one starts at `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    pub next: usize,
}

impl Span {
    /// Whether the line ends with a line feed alone.
    pub fn is_bare(&self) -> bool {
        self.next - self.end == 1
    }
}

/// Where the reading of a head stands; every byte is looked at once, however the head is cut into pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The start of the first line that is not read yet.
    pub at: usize,
    /// How far a line end has been looked for.
    searched: usize,
    /// The carriage returns that belong to line ends so far.
    pub returns: usize,
}

/// What [`Cursor::next_line`] found.
pub(crate) enum Next {
    Line(Span),
    /// The line is not complete.
    Partial,
    /// The line, or the head with it, does not fit the limits.
    TooLong,
}

impl Cursor {
    pub fn next_line(&mut self, input: &[u8], limits: &Limits) -> Next {
        let Some(found) = memchr(b'\n', input.get(self.searched..).unwrap_or_default()) else {
            self.searched = input.len();
            let too_long = input.len() - self.at >= limits.line || input.len() >= limits.head;
            return if too_long {
                Next::TooLong
            } else {
                Next::Partial
            };
        };
        let feed = self.searched + found;
        let (start, next) = (self.at, feed + 1);
        if next - start > limits.line || next > limits.head {
            return Next::TooLong;
        }
        self.at = next;
        self.searched = next;
        let mut end = feed;
        if feed > start && input[feed - 1] == b'\r' {
            end -= 1;
            self.returns += 1;
        }
        Next::Line(Span { start, end, next })
    }
}

/// A header line as it lies in the input.
pub(crate) struct Parsed {
    pub known: Known,
    /// From behind the colon to the end of the line.
    pub raw: (usize, usize),
    /// From the first to behind the last byte of the value.
    pub value: (usize, usize),
}

/// Reads a header line and adds it to the index; gives nothing for a line that is ignored.
///
/// Compat: a line whose name has a character outside tokens is left out, and a line without a colon has an empty value,
/// as in nginx. A line that starts with a blank (a folded one) or has one before the colon is refused.
pub(crate) fn parse_header(
    input: &[u8],
    span: Span,
    limits: &Limits,
    index: &mut Index,
) -> Result<Option<Parsed>, Error> {
    let line = &input[span.start..span.end];
    if index.len() >= limits.headers.min(MAX_LINES) {
        return Err(Error::TooManyHeaders);
    }
    let mut name_len = line.len();
    let mut odd = false;
    for (position, &byte) in line.iter().enumerate() {
        match NAME_BYTES[byte as usize] {
            NameByte::Token => {}
            NameByte::Colon => {
                name_len = position;
                break;
            }
            NameByte::Odd => odd = true,
            NameByte::Bad => return Err(Error::Header),
        }
    }
    if name_len == 0 || name_len > u16::MAX as usize {
        return Err(Error::Header);
    }
    if odd {
        return Ok(None);
    }
    let name = &line[..name_len];
    let known = Known::of(name);
    let rest = line.get(name_len + 1..).unwrap_or_default();
    let value = match rest {
        [b' ', first, .., last] if !is_blank(*first) && !is_blank(*last) => &rest[1..],
        _ => trim(rest),
    };
    let value_start = if value.is_empty() {
        span.end
    } else {
        span.end - rest.len() + offset(rest, value)
    };
    let value = (value_start, value_start + value.len());
    if span.is_bare() || name_len == line.len() {
        index.push_edited(known, name, &input[value.0..value.1]);
    } else {
        index.push_received((span.start, span.next), name_len, value, known);
    }
    Ok(Some(Parsed {
        known,
        raw: (span.end - rest.len(), span.end),
        value,
    }))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// How many bytes of `whole` are before `part`, which was trimmed out of it.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}
