//! Reading lines out of a growing buffer, and one header line into the index.

use memchr::memchr;

use crate::error::Error;
use crate::headers::{Index, MAX_LINES};
use crate::known::Known;
use crate::token::{NameBytes, name_len, near_colon, value_len};

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

/// A line of the input: from `start` to `end`, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

/// Where the reading of a head stands; a byte is looked at a bounded number of times, however the head is cut into pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The start of the first line that is not read yet.
    pub at: usize,
    /// How far a line feed has been looked for in vain.
    searched: usize,
}

/// What [`Cursor::next_line`] found.
pub(crate) enum Next {
    Line(Span),
    /// The line is not complete.
    Partial,
    /// The line, or the head with it, does not fit the limits.
    TooLong,
}

/// A header line before it is in the index.
struct Line {
    known: Known,
    name_len: usize,
    /// The value with the blanks around it.
    raw: (usize, usize),
    /// The start of the next line.
    next: usize,
}

/// What [`scan`] found.
enum Scanned {
    Header(Line),
    /// A line that is left out, up to the start of the next one.
    Ignored(usize),
    /// The empty line behind the last header line, up to what follows it.
    Empty(usize),
    /// The line is not complete.
    Partial,
}

impl Cursor {
    /// Reads a line of any kind.
    pub fn next_line(&mut self, input: &[u8], limits: &Limits) -> Next {
        let end = self.at.saturating_add(limits.line).min(limits.head);
        let window = input.get(..end).unwrap_or(input);
        let Some(found) = memchr(b'\n', window.get(self.searched..).unwrap_or_default()) else {
            if input.len() - self.at >= limits.line || input.len() >= limits.head {
                return Next::TooLong;
            }
            self.searched = input.len();
            return Next::Partial;
        };
        let feed = self.searched + found;
        let start = self.at;
        self.go_to(feed + 1);
        let end = if feed > start && input[feed - 1] == b'\r' {
            feed - 1
        } else {
            feed
        };
        Next::Line(Span { start, end })
    }

    /// Reads header lines into the index, and tells `note` the name, the value with and the value without the blanks
    /// around it. Gives whether the empty line behind them was reached.
    ///
    /// Compat: a line whose name has a character besides `names` is left out, and a line without a colon has an empty
    /// value, as in nginx. A line that starts with a blank (a folded one) or has one before the colon is refused.
    pub fn read_headers(
        &mut self,
        input: &[u8],
        names: &NameBytes,
        limits: &Limits,
        index: &mut Index,
        mut note: impl FnMut(Known, &[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let window = input.get(..limits.head).unwrap_or(input);
        let allowed = limits.headers.min(MAX_LINES);
        if self.searched > self.at
            && memchr(b'\n', window.get(self.searched..).unwrap_or_default()).is_none()
        {
            return self.partial(input, limits);
        }
        let mut at = self.at;
        loop {
            // Perf: nearly all lines are as they are usually written (benches/heads.rs).
            if let Some(line) = scan_usual(window, at)
                && line.end - at <= limits.line
                && index.len() < allowed
            {
                let value = (line.value, line.end - 2);
                index.push_received((at, line.end), line.name_len, value, line.known);
                if NOTED & line.known.bit() != 0 {
                    let raw = &window[line.value - 1..value.1];
                    note(line.known, raw, &window[value.0..value.1])?;
                }
                at = line.end;
                continue;
            }
            let scanned = match scan(window, at, names) {
                Ok(scanned) => scanned,
                Err(error) => return self.refuse(error, input, at, limits),
            };
            let next = match scanned {
                Scanned::Header(Line { next, .. })
                | Scanned::Ignored(next)
                | Scanned::Empty(next) => next,
                Scanned::Partial => {
                    self.go_to(at);
                    return self.partial(input, limits);
                }
            };
            if next - at > limits.line {
                return Err(Error::HeadTooLarge);
            }
            match scanned {
                Scanned::Header(line) => {
                    if index.len() >= allowed || line.name_len > u16::MAX as usize {
                        return Err(Error::TooManyHeaders);
                    }
                    let (known, value) = push(window, at, &line, index);
                    if NOTED & known.bit() != 0 {
                        note(
                            known,
                            &window[line.raw.0..line.raw.1],
                            &window[value.0..value.1],
                        )?;
                    }
                }
                Scanned::Empty(_) => {
                    self.go_to(next);
                    return Ok(true);
                }
                Scanned::Ignored(_) | Scanned::Partial => {}
            }
            at = next;
        }
    }

    /// Decides on a line that can not be read: whether and how it is refused must not depend on how much has arrived.
    #[cold]
    fn refuse(
        &mut self,
        error: Error,
        input: &[u8],
        at: usize,
        limits: &Limits,
    ) -> Result<bool, Error> {
        self.go_to(at);
        match memchr(b'\n', &input[at..]) {
            Some(feed) if feed < limits.line && at + feed < limits.head => Err(error),
            Some(_) => Err(Error::HeadTooLarge),
            None => self.partial(input, limits),
        }
    }

    #[cold]
    fn partial(&mut self, input: &[u8], limits: &Limits) -> Result<bool, Error> {
        if input.len() - self.at >= limits.line || input.len() >= limits.head {
            return Err(Error::HeadTooLarge);
        }
        self.searched = input.len();
        Ok(false)
    }

    fn go_to(&mut self, next: usize) {
        self.at = next;
        self.searched = next;
    }
}

/// The names that somebody asks about while a head is read.
const NOTED: u64 = Known::Connection.bit()
    | Known::ContentLength.bit()
    | Known::Expect.bit()
    | Known::Host.bit()
    | Known::TransferEncoding.bit();

/// A line with a known name, one blank before a value that is not empty, and no other blanks around it.
struct Usual {
    known: Known,
    name_len: usize,
    /// The start of the value.
    value: usize,
    /// The start of the next line.
    end: usize,
}

/// Finds the parts of the line that starts at `start`, if it is whole and usual; others are for [`scan`].
#[inline(always)]
fn scan_usual(window: &[u8], start: usize) -> Option<Usual> {
    let line = window.get(start..)?;
    let name_len = near_colon(line)?;
    let known = Known::of(line.get(..name_len)?);
    let value = name_len + 2;
    let content = line.get(value..)?;
    let length = value_len(content);
    let end = value + length;
    let [b' ', first] = *line.get(name_len + 1..)?.first_chunk()? else {
        return None;
    };
    let [last, b'\r', b'\n'] = *line.get(end - 1..)?.first_chunk()? else {
        return None;
    };
    let usual = known != Known::Other && length > 0 && !is_blank(first) && !is_blank(last);
    usual.then_some(Usual {
        known,
        name_len,
        value: start + value,
        end: start + end + 2,
    })
}

/// Finds the parts of the line that starts at `start`.
#[inline(always)]
fn scan(window: &[u8], start: usize, names: &NameBytes) -> Result<Scanned, Error> {
    let line = window.get(start..).unwrap_or_default();
    if line.starts_with(b"\r\n") {
        return Ok(Scanned::Empty(start + 2));
    }
    // Perf: a known name needs no look at its single bytes (benches/heads.rs).
    let near = near_colon(line).map(|len| (len, Known::of(&line[..len])));
    let (name_len, known) = match near {
        Some((len, known)) if known != Known::Other => (len, known),
        _ => {
            let len = name_len(line, names);
            match line.get(len) {
                Some(b':') if len > 0 => (len, Known::of(&line[..len])),
                Some(_) => return scan_odd(window, start, len),
                None => return Ok(Scanned::Partial),
            }
        }
    };
    let raw_start = start + name_len + 1;
    let raw_end = raw_start + value_len(window.get(raw_start..).unwrap_or_default());
    Ok(match line_end(window, raw_end)? {
        Some(next) => Scanned::Header(Line {
            known,
            name_len,
            raw: (raw_start, raw_end),
            next,
        }),
        None => Scanned::Partial,
    })
}

/// Finds the start of the line behind one whose content ends at `end`; nothing if that is not complete.
#[inline(always)]
fn line_end(window: &[u8], end: usize) -> Result<Option<usize>, Error> {
    match window.get(end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some(end + 2)),
        [b'\n', ..] => Ok(Some(end + 1)),
        [] | [b'\r'] => Ok(None),
        _ => Err(Error::Header),
    }
}

/// Finds the parts of a line whose first `name_len` bytes may be in a name and have no colon behind them.
#[cold]
fn scan_odd(window: &[u8], start: usize, name_len: usize) -> Result<Scanned, Error> {
    let line = window.get(start..).unwrap_or_default();
    let stop = line
        .iter()
        .position(|&byte| byte == b':' || byte <= b' ' || byte == 0x7f);
    let Some(stop) = stop else {
        return Ok(Scanned::Partial);
    };
    let end = start + stop;
    match line[stop] {
        b'\r' | b'\n' => Ok(match line_end(window, end)? {
            Some(next) if stop == 0 => Scanned::Empty(next),
            Some(next) if stop == name_len => Scanned::Header(Line {
                known: Known::of(&line[..name_len]),
                name_len,
                raw: (end, end),
                next,
            }),
            Some(next) => Scanned::Ignored(next),
            None => Scanned::Partial,
        }),
        b':' if stop > 0 => {
            let value_end = end + 1 + value_len(&line[stop + 1..]);
            Ok(line_end(window, value_end)?.map_or(Scanned::Partial, Scanned::Ignored))
        }
        _ => Err(Error::Header),
    }
}

/// Puts a line into the index; gives its name and where its value is.
#[inline(always)]
fn push(input: &[u8], start: usize, line: &Line, index: &mut Index) -> (Known, (usize, usize)) {
    let value = trim_range(input, line.raw);
    let is_regular =
        line.next - line.raw.1 == 2 && line.raw.0 > start + line.name_len && value.1 == line.raw.1;
    if is_regular {
        index.push_received((start, line.next), line.name_len, value, line.known);
    } else {
        // A line that ends with blanks or with a line feed alone, or has no colon, is written anew.
        let name = &input[start..start + line.name_len];
        index.push_edited(line.known, name, &input[value.0..value.1]);
    }
    (line.known, value)
}

#[inline(always)]
fn trim_range(input: &[u8], (start, end): (usize, usize)) -> (usize, usize) {
    match input.get(start..end).unwrap_or_default() {
        [b' ', first, .., last] if !is_blank(*first) && !is_blank(*last) => (start + 1, end),
        [first, .., last] if !is_blank(*first) && !is_blank(*last) => (start, end),
        raw => {
            let lead = raw.iter().take_while(|byte| is_blank(**byte)).count();
            let trail = raw[lead..]
                .iter()
                .rev()
                .take_while(|byte| is_blank(**byte))
                .count();
            (start + lead, end - trail)
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
