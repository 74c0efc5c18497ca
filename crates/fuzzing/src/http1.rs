//! Heads and bodies of HTTP/1.1.

use http1::Method;

use relay::{forward_requests as forward, forward_response as answer};

#[path = "../../http1/tests/wire/relay.rs"]
mod relay;

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
