//! Which bytes may stand where, and lists of tokens.

/// What a byte means in a header name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum NameByte {
    /// A character of a token.
    Token,
    /// The end of the name.
    Colon,
    /// No character of a token, but harmless: the line is ignored.
    Odd,
    /// A blank or a control character: the message is refused.
    Bad,
}

pub(crate) const NAME_BYTES: [NameByte; 256] = name_bytes();

const fn name_bytes() -> [NameByte; 256] {
    let mut table = [NameByte::Odd; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() {
            table[byte] = NameByte::Token;
        } else if b <= b' ' || b == 0x7f {
            table[byte] = NameByte::Bad;
        }
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = NameByte::Token;
        at += 1;
    }
    table[b':' as usize] = NameByte::Colon;
    table
}

/// Whether the bytes are a token as RFC 9110 section 5.6.2 has it.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|&byte| NAME_BYTES[byte as usize] == NameByte::Token)
}

/// Whether the bytes can be a header value: no control characters but tabs.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // Perf: a fold without an early return becomes wide comparisons (see benches/heads.rs).
    !bytes.iter().fold(false, |bad, &byte| {
        bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f)
    })
}

/// Whether the bytes can be part of a request target: no blanks, no control characters.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && !bytes
            .iter()
            .fold(false, |bad, &byte| bad | (byte <= b' ') | (byte == 0x7f))
}

/// Checks a whole block of lines at once: no control characters but tabs and line ends, and `line_ends` carriage returns.
pub(crate) fn is_clean(block: &[u8], line_ends: usize) -> bool {
    let mut bad = false;
    let mut returns = 0;
    let chunks = block.chunks_exact(32);
    let rest = chunks.remainder();
    for chunk in chunks {
        let (chunk_bad, chunk_returns) = survey(chunk);
        bad |= chunk_bad;
        returns += chunk_returns as usize;
    }
    let mut tail = [b' '; 32];
    for (to, from) in tail.iter_mut().zip(rest) {
        *to = *from;
    }
    let (tail_bad, tail_returns) = survey(&tail);
    !bad && !tail_bad && returns + tail_returns as usize == line_ends
}

/// Looks at up to 32 bytes: whether one must not be there, and the number of carriage returns.
fn survey(chunk: &[u8]) -> (bool, u8) {
    let mut bad = 0u8;
    let mut returns = 0u8;
    for &byte in chunk {
        let control = (byte < b' ') & (byte != b'\t') & (byte != b'\r') & (byte != b'\n');
        bad |= (control | (byte == 0x7f)) as u8;
        returns += (byte == b'\r') as u8;
    }
    (bad != 0, returns)
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
