//! The PROXY protocol.

use net::proxy_protocol::parse;

pub const HEADERS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbbGET /",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb\x02\0\x03abc",
];

pub const WORDS: &[&[u8]] = &[
    b"PROXY ",
    b"TCP4",
    b"TCP6",
    b"UNKNOWN",
    b"\r\n",
    b" ",
    b"::1",
    b"0",
    b"65535",
    b"\0\x0c",
    b"\x21\x11",
    b"\xff\xff",
];

/// A header ends inside the input, and what follows it does not change what it says.
pub fn header(input: &[u8]) {
    let Ok(Some((header, length))) = parse(input) else {
        return;
    };
    assert!(length <= input.len(), "the header is longer than the input");
    let alone = parse(&input[..length]);
    assert_eq!(
        format!("{alone:?}"),
        format!(
            "{:?}",
            Ok::<_, net::proxy_protocol::Malformed>(Some((header, length)))
        ),
        "what follows a header changes it"
    );
    let cut = parse(&input[..length - 1]);
    assert!(
        !matches!(cut, Ok(Some((_, shorter))) if shorter >= length),
        "a header is complete before its end"
    );
}
