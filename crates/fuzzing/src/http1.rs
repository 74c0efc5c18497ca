//! Heads and bodies of HTTP/1.1.

use bytes::BytesMut;
use http1::{
    BodyEncoder, BufferPool, Connection, Error, Framing, Known, Limits, Method, RequestParser,
    ResponseParser,
};

pub const REQUESTS: &[&[u8]] = &[
    b"GET /a/b?c=d HTTP/1.1\r\nHost: a.test:80\r\nX-A: 1\r\nx-a: 2\r\nConnection: keep-alive, X-A\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"GET http://a.test/%7Ex/../y HTTP/1.1\nHost: b\nUpgrade: websocket\nConnection: upgrade\n\n",
];

pub const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\nto the end",
    b"HTTP/1.1 204 \r\n\r\n",
];

pub const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xc3\xa9",
    b"%00",
    b"..",
    b"//",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: h\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HEAD",
    b"chunked",
    b"GET / HTTP/1.1\r\n",
];

/// What is forwarded of a client's bytes does not depend on how they arrive, and means the same to the next reader.
pub fn request(input: &[u8]) {
    let whole = forward(input, usize::MAX);
    assert_eq!(forward(input, 1), whole, "pieces change what is forwarded");
    let (forwarded, _) = whole;
    assert_eq!(
        forward(&forwarded, usize::MAX),
        (forwarded, Ok(())),
        "what is forwarded is not plain"
    );
}

fn forward(input: &[u8], piece: usize) -> (Vec<u8>, Result<(), Error>) {
    let mut out = BytesMut::new();
    let result = try_forward(input, piece, &mut out);
    (out.to_vec(), result)
}

/// Forwards every whole request of the input.
fn try_forward(input: &[u8], piece: usize, out: &mut BytesMut) -> Result<(), Error> {
    let limits = Limits::default();
    let pool = BufferPool::default();
    let mut pieces = input.chunks(piece);
    let mut input = pool.take_head();
    let mut parser = RequestParser::new(limits);
    loop {
        let mut head = loop {
            if let Some(head) = parser.parse(&mut input, &pool)? {
                break head;
            }
            match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None if parser.is_idle(&input) => return Ok(()),
                None => return Err(Error::Truncated),
            }
        };
        head.strip_hop_by_hop()?;
        if head.host().is_none() {
            head.headers.set(Known::Host, "service.test")?;
        }
        let query = head
            .query()
            .map(|query| [b"?", query].concat())
            .unwrap_or_default();
        let mut written = BytesMut::new();
        head.write(
            &[head.path(), &query].concat(),
            head.framing(),
            Connection::Unsaid,
            &mut written,
        )?;
        let mut body = head.body(&limits);
        let mut payload = BytesMut::new();
        while !body.decode_into(&mut input, &mut payload)? {
            match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return body.finish(),
            }
        }
        let mut encoder = BodyEncoder::new(head.framing());
        encoder.encode(&payload, &mut written)?;
        encoder.finish(body.take_trailers().as_ref(), &mut written)?;
        out.extend_from_slice(&written);
        if !head.keep_alive() {
            return Ok(());
        }
    }
}

/// What a client gets of an upstream's bytes does not depend on how they arrive, and is plain.
pub fn response_body(input: &[u8]) {
    for method in [Method::Get, Method::Head] {
        let whole = answer(input, &method, usize::MAX);
        assert_eq!(
            answer(input, &method, 1),
            whole,
            "pieces change what is forwarded"
        );
        if let Ok(answered) = whole {
            assert_eq!(
                answer(&answered, &method, usize::MAX).as_ref(),
                Ok(&answered),
                "what is forwarded is not plain"
            );
        }
    }
}

/// Forwards one response with the interim ones before it.
fn answer(input: &[u8], method: &Method, piece: usize) -> Result<Vec<u8>, Error> {
    let limits = Limits::for_upstream();
    let pool = BufferPool::default();
    let mut out = BytesMut::new();
    let mut pieces = input.chunks(piece);
    let mut input = pool.take_body();
    let mut parser = ResponseParser::new(limits);
    let mut head = loop {
        match parser.parse(&mut input, &pool)? {
            Some(head) if head.is_interim() => {
                head.write(Framing::None, Connection::Unsaid, &mut out)?
            }
            Some(head) => break head,
            None => input.extend_from_slice(pieces.next().ok_or(Error::Truncated)?),
        }
    };
    head.strip_hop_by_hop();
    let framing = match head.framing(method) {
        Framing::None => head.announced(method),
        framing => framing,
    };
    head.write(framing, Connection::Unsaid, &mut out)?;
    let mut body = head.body(method, &limits);
    let mut payload = BytesMut::new();
    while !body.decode_into(&mut input, &mut payload)? {
        match pieces.next() {
            Some(piece) => input.extend_from_slice(piece),
            None => {
                body.finish()?;
                break;
            }
        }
    }
    let mut encoder = BodyEncoder::new(head.framing(method));
    encoder.encode(&payload, &mut out)?;
    encoder.finish(body.take_trailers().as_ref(), &mut out)?;
    Ok(out.to_vec())
}
