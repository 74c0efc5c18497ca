//! Bodies: framing in, payload out.

use bytes::BytesMut;
use http1::{BodyDecoder, BodyEncoder, Decoded, Error, Framing, Headers, Limits};

fn decode(framing: Framing, bytes: &str) -> Result<(String, String), Error> {
    let mut input = BytesMut::from(bytes.as_bytes());
    let mut payload = BytesMut::new();
    let mut decoder = BodyDecoder::new(framing, &Limits::default());
    if !decoder.decode_into(&mut input, &mut payload)? {
        decoder.finish()?;
    }
    let text = |bytes: BytesMut| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(payload), text(input)))
}

#[track_caller]
fn chunked(bytes: &str, payload: &str, left: &str) {
    assert_eq!(
        decode(Framing::Chunked, bytes),
        Ok((payload.into(), left.into())),
        "for {bytes:?}"
    );
}

#[track_caller]
fn refuses(bytes: &str, error: Error) {
    assert_eq!(decode(Framing::Chunked, bytes), Err(error), "for {bytes:?}");
}

#[test]
fn reads_chunks() {
    chunked(
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext",
        "hello world",
        "next",
    );
    chunked(
        "A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n",
        "01234567890123456789",
        "",
    );
    chunked("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", "");
    chunked("5 \t\r\nhello\r\n0;last\r\n\r\n", "hello", "");
    chunked("5;a=\"b;c\";d\r\nhello\r\n0\r\n\r\n", "hello", "");
    chunked("5 ;a\r\nhello\r\n0\r\n\r\n", "hello", "");
}

#[test]
fn refuses_sizes_that_are_no_hexadecimal_numbers() {
    for size in [
        "-5",
        "+5",
        "0x5",
        "",
        "g",
        "5,5",
        "5 5",
        " 5",
        "ffffffffffffffff1",
        "ffffffffffffffff",
        "00000000000000005",
        ";a",
    ] {
        refuses(&format!("{size}\r\nhello\r\n0\r\n\r\n"), Error::Chunk);
    }
}

#[test]
fn refuses_bare_line_feeds_and_carriage_returns_in_framing() {
    refuses("5\nhello\r\n0\r\n\r\n", Error::Chunk);
    refuses("5\r\nhello\n0\r\n\r\n", Error::Chunk);
    refuses("5\rhello\r\n0\r\n\r\n", Error::Chunk);
    refuses("5;a\nhello\r\n0\r\n\r\n", Error::Chunk);
    refuses("5;a\rb\r\nhello\r\n0\r\n\r\n", Error::Chunk);
    refuses("5\r\nhello\r\n0\n\r\n", Error::Chunk);
    refuses("5\r\nhello\r\n0\r\n\n", Error::Trailer);
    refuses("5\r\nhello\r\n0\r\nX: 1\n\r\n", Error::Trailer);
    refuses("5\r\nhello\r\n0\r\nX: 1\r\r\n\r\n", Error::Trailer);
}

#[test]
fn refuses_payload_that_is_longer_or_shorter_than_its_size() {
    refuses("5\r\nhello!\r\n0\r\n\r\n", Error::Chunk);
    refuses("5\r\nhell\r\n0\r\n\r\n", Error::Chunk);
    refuses("5\r\nhel", Error::Truncated);
    refuses("5\r\nhello\r\n0\r\n", Error::Truncated);
}

#[test]
fn limits_extensions_and_trailers() {
    let long = "e".repeat(17 * 1024);
    refuses(&format!("5;{long}\r\nhello\r\n0\r\n\r\n"), Error::Chunk);
    refuses(
        &format!("5{}\r\nhello\r\n0\r\n\r\n", " ".repeat(17 * 1024)),
        Error::Chunk,
    );
    refuses(&"1;eeeeeeeeeeeeeee\r\nx\r\n".repeat(2000), Error::Chunk);
    refuses(&format!("0\r\nX: {long}\r\n\r\n"), Error::Trailer);
    refuses(
        &format!("0\r\n{}\r\n", "X: 1\r\n".repeat(3000)),
        Error::Trailer,
    );
}

#[test]
fn keeps_trailers_but_for_those_that_frame_route_or_authenticate() {
    let mut input = BytesMut::from(&b"0\r\nX-Sum: 1\r\nHost: evil\r\nx-sum: 2\r\nTransfer-Encoding: chunked\r\nAuthorization: a\r\n\r\n"[..]);
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    assert!(
        decoder
            .decode_into(&mut input, &mut BytesMut::new())
            .unwrap()
    );
    let trailers = decoder.take_trailers().unwrap();
    let fields: Vec<_> = trailers
        .iter()
        .map(|field| (field.name, field.value))
        .collect();
    assert_eq!(fields, [(&b"X-Sum"[..], &b"1"[..]), (b"x-sum", b"2")]);
    assert!(decoder.take_trailers().is_none());
}

#[test]
fn refuses_malformed_trailers() {
    for trailer in ["X : 1", " X: 1", "X: a\u{1}", ": 1"] {
        refuses(&format!("0\r\n{trailer}\r\n\r\n"), Error::Trailer);
    }
}

#[test]
fn points_at_payload_without_copying_it() {
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    assert_eq!(
        decoder.decode(b"5\r\nhel"),
        Ok(Decoded::Data { skip: 3, len: 3 })
    );
    assert_eq!(decoder.decode(b""), Ok(Decoded::More { skip: 0 }));
    assert_eq!(
        decoder.decode(b"lo\r\n0\r\n\r\nGET"),
        Ok(Decoded::Data { skip: 0, len: 2 })
    );
    assert_eq!(
        decoder.decode(b"\r\n0\r\n\r\nGET"),
        Ok(Decoded::End { skip: 7 })
    );
    assert_eq!(decoder.decode(b"GET"), Ok(Decoded::End { skip: 0 }));
    assert!(decoder.is_done());
    assert_eq!(decoder.received(), 5);
}

#[test]
fn limits_the_payload() {
    for (framing, bytes) in [
        (Framing::Length(6), &b"123456"[..]),
        (Framing::Chunked, b"6\r\n123456"),
        (Framing::UntilClose, b"123456"),
    ] {
        let mut decoder = BodyDecoder::new(framing, &Limits::default()).with_limit(5);
        assert_eq!(decoder.decode(bytes), Err(Error::BodyTooLarge));
    }
    assert_eq!(Error::BodyTooLarge.status(), 413);
}

#[test]
fn an_end_of_the_connection_ends_only_bodies_without_a_length() {
    for (framing, ends) in [
        (Framing::None, true),
        (Framing::Length(0), true),
        (Framing::UntilClose, true),
        (Framing::Length(1), false),
        (Framing::Chunked, false),
    ] {
        let mut decoder = BodyDecoder::new(framing, &Limits::default());
        assert_eq!(decoder.finish().is_ok(), ends);
        assert_eq!(decoder.is_done(), ends);
    }
}

#[test]
fn tells_how_much_is_to_come() {
    let mut decoder = BodyDecoder::new(Framing::Length(5), &Limits::default());
    assert_eq!(decoder.remaining(), Some(5));
    assert_eq!(
        decoder.decode(b"abc"),
        Ok(Decoded::Data { skip: 0, len: 3 })
    );
    assert_eq!(decoder.remaining(), Some(2));
    assert_eq!(
        BodyDecoder::new(Framing::Chunked, &Limits::default()).remaining(),
        None
    );
}

#[test]
fn writes_no_more_and_no_less_than_announced() {
    let mut out = BytesMut::new();
    let mut encoder = BodyEncoder::new(Framing::Length(3));
    encoder.encode(b"ab", &mut out).unwrap();
    assert_eq!(encoder.encode(b"cd", &mut out), Err(Error::LengthMismatch));
    assert_eq!(
        BodyEncoder::new(Framing::Length(3)).finish(None, &mut out),
        Err(Error::LengthMismatch)
    );
    assert_eq!(
        BodyEncoder::new(Framing::None).encode(b"x", &mut out),
        Err(Error::LengthMismatch)
    );
}

#[test]
fn writes_chunks_and_trailers() {
    let mut out = BytesMut::new();
    let mut encoder = BodyEncoder::new(Framing::Chunked);
    encoder.encode(b"", &mut out).unwrap();
    encoder.encode(&[b'x'; 26], &mut out).unwrap();
    let mut trailers = Headers::new();
    trailers.append("X-Sum", "1").unwrap();
    encoder.finish(Some(&trailers), &mut out).unwrap();
    assert_eq!(
        &out[..],
        b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
}
