//! The value of `Host`, and its parts.

/// Whether a `Host` value can be served.
///
/// Compat: these are nginx's rules, which look at the host and leave the port alone: no blanks or control characters, no
/// slash, no two dots in a row, and something besides a dot.
pub(crate) fn is_host(value: &[u8]) -> bool {
    // Perf: without a branch for each byte (benches/heads.rs).
    let (mut wrong, mut before) = (0, 0);
    for &byte in value {
        let mark = HOST_BYTES[byte as usize];
        wrong |= mark & (before | BAD);
        before = mark;
    }
    let named = value.first().is_some_and(u8::is_ascii_alphanumeric);
    wrong == 0 && (named || !host_name(value).is_empty())
}

/// Marks a dot, of which there cannot be two in a row.
const DOT: u8 = 1;

/// Marks a byte that cannot be there.
const BAD: u8 = 2;

const HOST_BYTES: [u8; 256] = host_bytes();

const fn host_bytes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        table[byte] = BAD;
        byte += 1;
    }
    table[0x7f] = BAD;
    table[b'/' as usize] = BAD;
    table[b'\\' as usize] = BAD;
    table[b'@' as usize] = BAD;
    table[b',' as usize] = BAD;
    table[b'.' as usize] = DOT;
    table
}

/// The host without its port and without a dot at the end, in the case in which it came.
pub fn host_name(authority: &[u8]) -> &[u8] {
    let end = host_end(authority);
    let host = &authority[..end];
    host.strip_suffix(b".").unwrap_or(host)
}

/// The port of an authority, if it has one that is a number.
pub fn host_port(authority: &[u8]) -> Option<u16> {
    let port = authority.get(host_end(authority)..)?.strip_prefix(b":")?;
    if port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(port).ok()?.parse().ok()
}

fn host_end(authority: &[u8]) -> usize {
    if authority.first() == Some(&b'[') {
        return authority
            .iter()
            .position(|&byte| byte == b']')
            .map_or(authority.len(), |end| end + 1);
    }
    authority
        .iter()
        .position(|&byte| byte == b':')
        .unwrap_or(authority.len())
}
