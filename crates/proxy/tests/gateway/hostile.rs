//! Requests that two readers could take apart differently: each ends with an error and a closed connection, and no byte
//! of it reaches the upstream.

use crate::support::{Gateway, Upstream, header, status};

/// Sends the bytes, with a second request behind them that must never be seen.
fn refused(name: &str, request: &[u8], expected: u16) {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let answer = gateway.exchange([request, b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    assert_eq!(status(&answer), expected, "{name}: {answer}");
    assert_eq!(header(&answer, "Connection"), Some("close"), "{name}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
    assert!(
        upstream.requests().is_empty(),
        "{name}: {:?}",
        upstream.requests()
    );
}

#[test]
fn ambiguous_framing_never_reaches_the_upstream() {
    for (name, head, expected) in [
        (
            "length and chunked",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "chunked and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            400,
        ),
        (
            "two lengths",
            "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            400,
        ),
        (
            "a list of lengths",
            "Content-Length: 5, 5\r\n\r\nhello",
            400,
        ),
        ("a signed length", "Content-Length: +5\r\n\r\nhello", 400),
        ("a negative length", "Content-Length: -5\r\n\r\nhello", 400),
        (
            "a hexadecimal length",
            "Content-Length: 0x5\r\n\r\nhello",
            400,
        ),
        ("an empty length", "Content-Length: \r\n\r\nhello", 400),
        (
            "a length that overflows",
            "Content-Length: 99999999999999999999\r\n\r\nhello",
            400,
        ),
        (
            "an unknown coding",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "identity",
            "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "two codings",
            "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "a coding after chunked",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("a folded line", "X-A: 1\r\n folded\r\n\r\n", 400),
        ("a blank before the colon", "X-A : 1\r\n\r\n", 400),
        (
            "a blank before the colon of the length",
            "Content-Length : 5\r\n\r\nhello",
            400,
        ),
        ("a line that begins with a blank", " X-A: 1\r\n\r\n", 400),
        ("a NUL in a value", "X-A: a\0b\r\n\r\n", 400),
        ("a NUL in a name", "X\0A: b\r\n\r\n", 400),
        (
            "a bare carriage return in a value",
            "X-A: a\rb\r\n\r\n",
            400,
        ),
        ("two hosts", "Host: other\r\n\r\n", 400),
    ] {
        refused(
            name,
            format!("POST /x HTTP/1.1\r\nHost: h\r\n{head}").as_bytes(),
            expected,
        );
    }
}

#[test]
fn malformed_chunks_never_reach_the_upstream() {
    for (name, body) in [
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a prefixed size", "0x5\r\nhello\r\n0\r\n\r\n"),
        (
            "a size that overflows",
            "ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
        ),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
        ("bare line feeds", "5\nhello\n0\n\n"),
        ("a broken trailer", "0\r\nX-A : 1\r\n\r\n"),
    ] {
        refused(
            name,
            format!("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
                .as_bytes(),
            400,
        );
    }
}

#[test]
fn malformed_request_lines_and_hosts_are_refused() {
    for (name, request, expected) in [
        ("no host", "GET /x HTTP/1.1\r\n\r\n", 400),
        (
            "a host with a blank",
            "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
            400,
        ),
        (
            "a host with a slash",
            "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n",
            400,
        ),
        (
            "a host with two dots",
            "GET /x HTTP/1.1\r\nHost: a..b\r\n\r\n",
            400,
        ),
        (
            "a lower-case method",
            "get /x HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        ("no slash", "GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("an asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            "a NUL in the target",
            "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "an escaped NUL",
            "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a broken escape",
            "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "dot segments above the root",
            "GET /../x HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a blank in the target",
            "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a connect request",
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            "a trace request",
            "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n",
            405,
        ),
        (
            "HTTP/2.0 as text",
            "GET /x HTTP/2.0\r\nHost: h\r\n\r\n",
            505,
        ),
        ("no version", "GET /x HTTP/x.y\r\nHost: h\r\n\r\n", 400),
        (
            "chunked in HTTP/1.0",
            "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("garbage", "\u{1}\u{2}\u{3}\r\n\r\n", 400),
    ] {
        refused(name, request.as_bytes(), expected);
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let line = |length: usize| {
        format!(
            "GET /x HTTP/1.1\r\nHost: h\r\nX-Big: {}\r\n\r\n",
            "b".repeat(length)
        )
    };
    refused("a long line", line(8300).as_bytes(), 400);
    let lines = "X-Big: ".to_owned() + &"b".repeat(6000) + "\r\n";
    refused(
        "long lines",
        format!("GET /x HTTP/1.1\r\nHost: h\r\n{}\r\n", lines.repeat(6)).as_bytes(),
        400,
    );
    refused(
        "many lines",
        format!(
            "GET /x HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X: 1\r\n".repeat(1100)
        )
        .as_bytes(),
        400,
    );
    refused(
        "a long target",
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(8300)).as_bytes(),
        414,
    );
}

#[test]
fn an_error_is_told_in_the_form_that_the_client_accepts() {
    let gateway = Gateway::to(&Upstream::ok());
    let answer = gateway
        .exchange("GET /x HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\nX-A : 1\r\n\r\n");
    assert_eq!(
        header(&answer, "Content-Type"),
        Some("application/json; charset=utf-8"),
        "{answer}"
    );
}

#[test]
fn three_hundred_headers_pass() {
    let upstream = Upstream::ok();
    let gateway = Gateway::to(&upstream);
    let answer = gateway.exchange(format!(
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}\r\n",
        "X: 1\r\n".repeat(300)
    ));
    assert_eq!(
        (
            status(&answer),
            upstream.request().matches("\r\nX: 1").count()
        ),
        (200, 300)
    );
}
