//! Which bytes may stand where, and lists of tokens.

use bytes::BufMut;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The bytes that may be in a name.
pub(crate) type NameBytes = [bool; 256];

/// The characters of a token (RFC 9110 section 5.6.2).
pub(crate) static TOKEN: NameBytes = name_bytes(b"!#$%&'*+-.^_`|~");

/// Letters, digits, dashes and underscores: names that mean the same to every reader.
pub(crate) static PLAIN: NameBytes = name_bytes(b"-_");

const fn name_bytes(marks: &[u8]) -> NameBytes {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

/// The number of bytes at the start that may be in a name.
// Perf: four bytes at a time (benches/heads.rs).
#[inline(always)]
pub(crate) fn name_len(bytes: &[u8], allowed: &NameBytes) -> usize {
    let allowed = |byte: &u8| allowed[*byte as usize];
    let (chunks, _) = bytes.as_chunks::<4>();
    let whole = chunks
        .iter()
        .position(|[a, b, c, d]| !(allowed(a) & allowed(b) & allowed(c) & allowed(d)));
    let start = 4 * whole.unwrap_or(chunks.len());
    start
        + bytes[start..]
            .iter()
            .position(|byte| !allowed(byte))
            .unwrap_or(bytes.len() - start)
}

/// Whether the bytes are a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && name_len(bytes, &TOKEN) == bytes.len()
}

/// Marks, in the highest bit of each byte, the bytes that are not printable ASCII with [`FIRST`, 0x7e]. Of several marks
/// the lowest is exact, because carries and borrows go upwards and come from marked bytes alone.
#[inline(always)]
fn marks_beyond<const FIRST: u8>(word: u64) -> u64 {
    (word.wrapping_add(ONES) | word.wrapping_sub(ONES * FIRST as u64) | word) & HIGHS
}

/// Whether a byte may be in a header value: no control character but a tab.
fn is_value_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// Marks the bytes that are `wanted`; of several marks the lowest is exact.
fn marks_equal(word: u64, wanted: u8) -> u64 {
    let zero = word ^ (ONES * wanted as u64);
    zero.wrapping_sub(ONES) & !zero & HIGHS
}

/// Whether any byte has a mark.
// Perf: eight bytes at a time, because most values are too short for the compiler's wide loops (benches/heads.rs).
#[inline(always)]
fn any_mark(bytes: &[u8], marks: impl Fn(u64) -> u64) -> bool {
    let last = match bytes.last_chunk::<8>() {
        Some(last) => *last,
        None => short_word(bytes),
    };
    let (chunks, _) = bytes.as_chunks::<8>();
    let any = |any, chunk: &[u8; 8]| any | marks(u64::from_le_bytes(*chunk));
    chunks.iter().fold(marks(u64::from_le_bytes(last)), any) != 0
}

/// Less than eight bytes, some of them twice, filled up with `0`, which nobody looks for.
#[inline(always)]
fn short_word(bytes: &[u8]) -> [u8; 8] {
    if let (Some([a, b, c, d]), Some([e, f, g, h])) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [*a, *b, *c, *d, *e, *f, *g, *h];
    }
    let at = |position: usize| bytes.get(position).copied().unwrap_or(b'0');
    [at(0), at(1), at(2), b'0', b'0', b'0', b'0', b'0']
}

/// Whether `first` or `second`, neither of which is `0`, is among the bytes.
pub(crate) fn contains_either(bytes: &[u8], first: u8, second: u8) -> bool {
    any_mark(bytes, |word| {
        marks_equal(word, first) | marks_equal(word, second)
    })
}

/// The position of the first byte that is `wanted`, for bytes that are too few for memchr.
pub(crate) fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (position, chunk) in chunks.iter().enumerate() {
        let marks = marks_equal(u64::from_le_bytes(*chunk), wanted);
        if marks != 0 {
            return Some(8 * position + marks.trailing_zeros() as usize / 8);
        }
    }
    rest.iter()
        .position(|&byte| byte == wanted)
        .map(|position| bytes.len() - rest.len() + position)
}

/// Whether the bytes can be a header value: no control characters but tabs.
// Perf: nearly all values are printable ASCII, which one pass over words tells (benches/heads.rs).
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    !any_mark(bytes, marks_beyond::<b' '>) || bytes.iter().copied().all(is_value_byte)
}

/// Whether the bytes can be part of a request target: no blanks, no control characters.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && (!any_mark(bytes, marks_beyond::<b'!'>)
            || bytes.iter().all(|&byte| byte > b' ' && byte != 0x7f))
}

/// The number of bytes at the start that can be part of a header value.
// Perf: this finds the end of the line and checks it in one go, sixteen bytes at a time (benches/heads.rs).
#[inline(always)]
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    let end = loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(words) => match first_beyond(words) {
                Some(found) => break at + found,
                None => at += 16,
            },
            // What is filled up is found at the latest.
            None => break at + first_beyond(&filled_up(rest)).unwrap_or(0),
        }
    };
    match bytes.get(end) {
        Some(b'\r' | b'\n') => end,
        _ => end + odd_value_len(bytes.get(end..).unwrap_or_default()),
    }
}

/// The position of the first byte that is not printable ASCII.
#[inline(always)]
fn first_beyond(words: &[u8; 16]) -> Option<usize> {
    let (chunks, _) = words.as_chunks::<8>();
    let marks = |chunk: &[u8; 8]| marks_beyond::<b' '>(u64::from_le_bytes(*chunk));
    let at = chunks.iter().position(|chunk| marks(chunk) != 0)?;
    Some(8 * at + marks(chunks.get(at)?).trailing_zeros() as usize / 8)
}

/// The bytes with zeros behind them, or as many as there is room for.
// Perf: what is left of the input is read like any other bytes then (benches/heads.rs).
#[inline(never)]
fn filled_up<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut filled = [0; N];
    let length = bytes.len().min(N);
    filled[..length].copy_from_slice(&bytes[..length]);
    filled
}

/// As [`value_len`], for what is not all printable ASCII.
#[inline(never)]
fn odd_value_len(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|&byte| !is_value_byte(byte));
    end.unwrap_or(bytes.len())
}

/// Whether a name equals a lower case one of letters and dashes, whatever its case.
// Perf: the length is known when this is compiled, so that it becomes a few comparisons of words (benches/heads.rs).
#[inline(always)]
pub(crate) fn same_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else {
        return false;
    };
    if N < 4 {
        return name.eq_ignore_ascii_case(lower);
    }
    let mut different = 0;
    if N < 8 {
        different |= u64::from(differ4(name, lower, 0) | differ4(name, lower, N - 4));
    } else {
        let mut at = 0;
        while at + 8 < N {
            different |= differ8(name, lower, at);
            at += 8;
        }
        different |= differ8(name, lower, N - 8);
    }
    different == 0
}

/// The bits in which eight bytes differ, but for the case of letters.
#[inline(always)]
fn differ8(name: &[u8], lower: &[u8], at: usize) -> u64 {
    let word = |bytes: &[u8]| {
        bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |chunk| u64::from_le_bytes(*chunk))
    };
    // A letter has 0x40 set, a dash has not: that bit moved down is the one that case is in.
    let lower = word(lower);
    (word(name) | (lower & (ONES * 0x40)) >> 1) ^ lower
}

/// The bits in which four bytes differ, but for the case of letters.
#[inline(always)]
fn differ4(name: &[u8], lower: &[u8], at: usize) -> u32 {
    let word = |bytes: &[u8]| {
        bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |chunk| u32::from_le_bytes(*chunk))
    };
    let lower = word(lower);
    (word(name) | (lower & 0x4040_4040) >> 1) ^ lower
}

/// The position of the first colon among the first 32 bytes.
#[inline(always)]
pub(crate) fn near_colon(bytes: &[u8]) -> Option<usize> {
    match bytes.first_chunk() {
        Some(near) => colon(near),
        None => colon(&filled_up(bytes)),
    }
}

#[inline(always)]
fn colon(bytes: &[u8; 32]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let marks = |chunk: &[u8; 8]| marks_equal(u64::from_le_bytes(*chunk), b':');
    let at = chunks.iter().position(|chunk| marks(chunk) != 0)?;
    Some(8 * at + marks(chunks.get(at)?).trailing_zeros() as usize / 8)
}

/// Cuts blanks and tabs off both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(start) = bytes.iter().position(|byte| !blank(byte)) else {
        return &[];
    };
    let end = bytes
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The members of a comma-separated list, without blanks around them and without empty ones.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Reads a decimal number as RFC 9110 section 8.6 writes a length: digits alone, within 63 bits.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let mut number = 0u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(byte - b'0'))?;
    }
    (number <= i64::MAX as u64).then_some(number)
}

/// Writes a number in decimal.
pub(crate) fn write_decimal(number: u64, out: &mut impl BufMut) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}
