//! Which bytes may stand where, and lists of tokens.

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

/// Whether a byte is 0x7f or below `FIRST`.
fn is_below<const FIRST: u8>(byte: u8) -> bool {
    byte < FIRST || byte == 0x7f
}

/// Marks, in the highest bit of each byte, the bytes that are 0x7f or below `FIRST`. Of several marks the lowest is exact.
fn marks_below<const FIRST: u8>(word: u64) -> u64 {
    let delete = word ^ (ONES * 0x7f);
    (word.wrapping_sub(ONES * FIRST as u64) & !word | delete.wrapping_sub(ONES) & !delete) & HIGHS
}

/// Marks the bytes that are `wanted` as [`marks_below`] does.
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

/// Whether any byte is 0x7f or below `FIRST`.
fn any_below<const FIRST: u8>(bytes: &[u8]) -> bool {
    any_mark(bytes, marks_below::<FIRST>)
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
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    !any_below::<b' '>(bytes)
        || !bytes
            .iter()
            .any(|&byte| byte != b'\t' && is_below::<b' '>(byte))
}

/// Whether the bytes can be part of a request target: no blanks, no control characters.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !any_below::<b'!'>(bytes)
}

/// The number of bytes at the start that can be part of a header value.
// Perf: this finds the end of the line and checks it in one go, sixteen bytes at a time (benches/heads.rs).
#[inline(always)]
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let controls = |chunk: &[u8]| match <[u8; 8]>::try_from(chunk) {
        Ok(chunk) => {
            let word = u64::from_le_bytes(chunk);
            let delete = word ^ (ONES * 0x7f);
            // The lowest bit that is set is exact: borrows go upwards only.
            (word.wrapping_sub(ONES * b' ' as u64) & !word | delete.wrapping_sub(ONES) & !delete)
                & HIGHS
        }
        Err(_) => 0,
    };
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 16) {
        let (low, high) = (controls(&chunk[..8]), controls(&chunk[8..]));
        if low | high == 0 {
            at += 16;
            continue;
        }
        at += if low != 0 {
            low.trailing_zeros() as usize / 8
        } else {
            8 + high.trailing_zeros() as usize / 8
        };
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|&byte| byte != b'\t' && is_below::<b' '>(byte))
        .unwrap_or(rest.len())
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
    let (chunks, _) = bytes.get(..32)?.as_chunks::<8>();
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
pub(crate) fn write_decimal(number: u64, out: &mut bytes::BytesMut) {
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
    out.extend_from_slice(&digits[at..]);
}
