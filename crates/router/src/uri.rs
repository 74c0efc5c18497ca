//! Request paths: the normal form they are matched in, and the path an upstream gets.

use std::borrow::Cow;

/// Brings a request path (without its query) into the form in which it is matched and forwarded.
///
/// Escapes of reserved characters stay, in upper case; every other escape is decoded; dot segments are resolved and
/// cannot climb above the root; runs of slashes become one. The result may hold bytes that are not UTF-8.
///
/// Compat: Kong decodes once and never decodes what RFC 3986 reserves, so `%2F` is not a separator.
pub fn normalize_path(path: &[u8]) -> Cow<'_, [u8]> {
    let decoded = decode_unreserved(path);
    if is_resolved(&decoded) {
        return decoded;
    }
    Cow::Owned(resolve_segments(&decoded))
}

/// Percent-encodes what may not stand in a request target: controls, blanks, quotes, non-ASCII bytes and the like.
/// Escapes that are there already stay.
pub fn escape_path(path: &[u8]) -> Cow<'_, [u8]> {
    if path.iter().all(|b| is_target_byte(*b)) {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len() + 16);
    escape_into(path, &mut out);
    Cow::Owned(out)
}

/// How the request path and the service's path are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathHandling {
    /// Keeps exactly one slash between the two.
    #[default]
    V0,
    /// Puts one behind the other; known to the `traditional` flavour only.
    V1,
}

/// The parts that make an upstream path.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamPath<'a> {
    /// The normalized request path.
    pub path: &'a [u8],
    /// How many bytes of it the route's path matched; `None` if the route has no path.
    pub matched: Option<usize>,
    /// The service's path, `/` if it has none.
    pub base: &'a [u8],
    pub strip_path: bool,
    pub handling: PathHandling,
}

impl UpstreamPath<'_> {
    /// Appends the path, encoded for a request target, without a query.
    pub fn write(&self, out: &mut Vec<u8>) {
        let from_second = self.path.get(1..).unwrap_or_default();
        let rest = match self.matched {
            Some(n) => self.path.get(n..).unwrap_or_default(),
            None => from_second,
        };
        let rest = without_leading_dots(rest);
        let (base, has_slash) = match self.base.strip_suffix(b"/") {
            Some(base) => (base, true),
            None => (self.base, false),
        };
        let rest_has_slash = rest.first() == Some(&b'/');
        match (self.handling, self.strip_path) {
            (PathHandling::V0, true) if rest.is_empty() => {
                escape_into(base, out);
                let asks_for_slash = self.path.len() > 1 && self.path.ends_with(b"/");
                if base.is_empty() || asks_for_slash {
                    out.push(b'/');
                }
            }
            (PathHandling::V0, true) => {
                escape_into(base, out);
                out.push(b'/');
                escape_into(rest.strip_prefix(b"/").unwrap_or(rest), out);
            }
            (PathHandling::V0, false) if !has_slash => {
                escape_into(base, out);
                if self.path != b"/" {
                    escape_into(self.path, out);
                }
            }
            (PathHandling::V1, true) => {
                escape_into(if rest_has_slash { base } else { self.base }, out);
                escape_into(rest, out);
            }
            // Perf: most services have no path of their own.
            (_, false) if self.base == b"/" && self.path.starts_with(b"/") => {
                escape_into(self.path, out);
            }
            (_, false) => {
                escape_into(self.base, out);
                escape_into(from_second, out);
            }
        }
    }
}

/// After a prefix that ended inside a segment, what is left may start like a relative path.
fn without_leading_dots(rest: &[u8]) -> &[u8] {
    match rest {
        b"." | b".." => b"",
        [b'.', b'/', tail @ ..] | [b'.', b'.', b'/', tail @ ..] => tail,
        _ => rest,
    }
}

fn decode_unreserved(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = path.iter().position(|b| *b == b'%') else {
        return Cow::Borrowed(path);
    };
    let mut out = Vec::with_capacity(path.len());
    out.extend_from_slice(&path[..first]);
    let mut at = first;
    while let Some(&byte) = path.get(at) {
        let value = match path.get(at + 1..at + 3) {
            Some(&[high, low]) if byte == b'%' => hex(high).zip(hex(low)),
            _ => None,
        };
        match value {
            Some((high, low)) if is_reserved(high << 4 | low) => {
                out.extend(path[at..at + 3].iter().map(u8::to_ascii_uppercase));
                at += 3;
            }
            Some((high, low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// Whether there is no dot segment and no empty segment to take out.
fn is_resolved(path: &[u8]) -> bool {
    if path.windows(2).any(|pair| pair == b"//") {
        return false;
    }
    !path.contains(&b'.')
        || !path
            .split(|b| *b == b'/')
            .any(|segment| matches!(segment, b"." | b".."))
}

/// RFC 3986 section 5.2.4, with runs of slashes taken for one.
fn resolve_segments(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    // Where each kept segment starts, its slash included.
    let mut starts: Vec<usize> = Vec::new();
    let mut rest = path;
    loop {
        let climbs = matches!(rest, b"/.." | [b'/', b'.', b'.', b'/', ..]);
        rest = match rest {
            b"" | b"." | b".." => return out,
            [b'.', b'/', tail @ ..] | [b'.', b'.', b'/', tail @ ..] => tail,
            b"/." | b"/.." => b"/",
            [b'/', b'.', b'/', ..] => &rest[2..],
            [b'/', b'.', b'.', b'/', ..] => &rest[3..],
            [b'/', b'/', ..] => &rest[1..],
            _ => {
                let end = rest.iter().skip(1).position(|b| *b == b'/');
                let (segment, tail) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                starts.push(out.len());
                out.extend_from_slice(segment);
                tail
            }
        };
        if climbs && let Some(start) = starts.pop() {
            out.truncate(start);
        }
    }
}

fn escape_into(path: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = path;
    while let Some(&byte) = rest.first() {
        let clean = rest.iter().position(|byte| !is_target_byte(*byte));
        let (run, behind) = rest.split_at(clean.unwrap_or(rest.len()));
        out.extend_from_slice(run);
        rest = behind;
        if run.is_empty() {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
            rest = behind.get(1..).unwrap_or_default();
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 section 2.2, and the percent sign itself.
const RESERVED: &[u8] = b"!*'();:@&=+$,/?%#[]";

fn is_reserved(byte: u8) -> bool {
    RESERVED.contains(&byte)
}

/// The bytes that may stand in a request target. Perf: a path is looked at byte by byte on every request.
const TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = [RESERVED, b"-_.~"];
    let mut set = 0;
    while set < marks.len() {
        let mut at = 0;
        while at < marks[set].len() {
            table[marks[set][at] as usize] = true;
            at += 1;
        }
        set += 1;
    }
    table
};

fn is_target_byte(byte: u8) -> bool {
    TARGET_BYTES[usize::from(byte)]
}
