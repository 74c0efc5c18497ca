//! What holds for all bytes.

use bytes::BytesMut;
use http1::{BodyDecoder, BodyEncoder, Framing, Limits, Method};
use proptest::prelude::*;

use crate::support::{forward_requests, forward_response};

/// Pieces of messages, good and bad, that random messages are put together from.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "GET http://a.test/ HTTP/1.0\r\n",
    "Host: h\r\n",
    "Host: a.test\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: gzip\r\n",
    "Connection: close\r\n",
    "Connection: X-A, upgrade\r\n",
    "Upgrade: x\r\n",
    "X-A: 1\r\n",
    "X-B: 2\n",
    "x@: 3\r\n",
    "odd\r\n",
    "Expect: 100-continue\r\n",
    "TE: trailers\r\n",
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    "5\r\nhello\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "a;x=y\r\n0123456789\r\n",
    "hello",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404 No\r\n",
    "HTTP/1.1 103 Hint\r\n\r\n",
    "HTTP/1.1 204 \r\n",
    "\u{0}",
    "\u{7f}",
    "é",
];

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    let start = proptest::sample::select(
        &[
            "",
            "GET / HTTP/1.1\r\nHost: h\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\n",
            "HTTP/1.1 200 OK\r\n",
        ][..],
    );
    (start, proptest::collection::vec(piece, 0..24))
        .prop_map(|(start, pieces)| [start.as_bytes(), &pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_mean_the_same_however_they_are_cut(message in messages(), piece in 1usize..40) {
        let whole = forward_requests(&message, usize::MAX);
        prop_assert_eq!(&forward_requests(&message, 1), &whole);
        prop_assert_eq!(&forward_requests(&message, piece), &whole);
    }

    #[test]
    fn responses_mean_the_same_however_they_are_cut(message in messages(), piece in 1usize..40) {
        let whole = forward_response(&message, &Method::Get, usize::MAX);
        prop_assert_eq!(&forward_response(&message, &Method::Get, 1), &whole);
        prop_assert_eq!(&forward_response(&message, &Method::Get, piece), &whole);
    }

    #[test]
    fn what_is_forwarded_is_forwarded_again_unchanged(message in messages()) {
        let (forwarded, _) = forward_requests(&message, usize::MAX);
        let (again, result) = forward_requests(&forwarded, usize::MAX);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(again, forwarded);
    }

    #[test]
    fn any_bytes_are_survived(message in proptest::collection::vec(any::<u8>(), 0..300), start in 0usize..PIECES.len()) {
        let message = [PIECES[start].as_bytes(), &message].concat();
        let _ = forward_requests(&message, 7);
        let _ = forward_response(&message, &Method::Get, 7);
    }

    #[test]
    fn bodies_survive_encoding_and_decoding(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8), piece in 1usize..64, is_chunked: bool) {
        let payload = parts.concat();
        let framing = if is_chunked { Framing::Chunked } else { Framing::Length(payload.len() as u64) };
        let mut wire = BytesMut::new();
        let mut encoder = BodyEncoder::new(framing);
        for part in &parts {
            encoder.encode(part, &mut wire).unwrap();
        }
        encoder.finish(None, &mut wire).unwrap();
        wire.extend_from_slice(b"next");

        let mut decoder = BodyDecoder::new(framing, &Limits::default());
        let (mut input, mut decoded) = (BytesMut::new(), BytesMut::new());
        let mut complete = false;
        for piece in wire.chunks(piece) {
            input.extend_from_slice(piece);
            complete = decoder.decode_into(&mut input, &mut decoded).unwrap();
        }
        prop_assert!(complete);
        prop_assert_eq!(&decoded[..], &payload[..]);
        prop_assert_eq!(&input[..], b"next");
    }
}
