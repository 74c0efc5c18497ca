//! Responses: each row is what an upstream sends and what the client receives, or the error that becomes a 502.

use http1::{Error, Framing, Method, ResponseHead};

use crate::support::{client_sees, forward_response, response};

#[track_caller]
fn forwards(sent: &str, received: &str) {
    assert_eq!(
        client_sees(sent.as_bytes()).as_deref(),
        Ok(received),
        "for {sent:?}"
    );
}

#[track_caller]
fn refuses(sent: &str, error: Error) {
    assert_eq!(client_sees(sent.as_bytes()), Err(error), "for {sent:?}");
}

#[test]
fn keeps_reason_order_case_and_duplicates() {
    let message = "HTTP/1.1 299 Fine By Me\r\nset-cookie: a\r\nX-B: 1\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nhi";
    forwards(message, message);
    forwards(
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    );
    forwards(
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    );
}

#[test]
fn keeps_unusual_names_and_drops_blanks_behind_values() {
    forwards(
        "HTTP/1.1 200 OK\r\nServer: mock \r\nX!a: 1\r\nX.b: 2\r\nX@c: 3\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer: mock\r\nX!a: 1\r\nX.b: 2\r\nContent-Length: 0\r\n\r\n",
    );
}

#[test]
fn refuses_a_length_beside_a_coding() {
    refuses(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
    );
    refuses(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
    );
}

#[test]
fn refuses_repeated_or_malformed_lengths() {
    for (first, second) in [("2", "3"), ("2", "2")] {
        refuses(
            &format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {first}\r\nContent-Length: {second}\r\n\r\nab"
            ),
            Error::ContentLength,
        );
    }
    for value in ["abc", "", "-1", "+1", "1,1", "0x1"] {
        refuses(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\nab"),
            Error::ContentLength,
        );
    }
}

#[test]
fn refuses_codings_other_than_chunked() {
    for value in ["gzip, chunked", "identity", "", "xchunked", "\tchunked"] {
        refuses(
            &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n"),
            Error::UnknownCoding,
        );
    }
    refuses(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
    );
    refuses(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
    );
}

#[test]
fn refuses_folded_lines_and_blanks_in_names() {
    for header in [
        "X-A : 1",
        "X-A: 1\r\n folded",
        "Bad Name: 1",
        " X: 1",
        "X: \u{1}",
        "X: a\rb",
    ] {
        refuses(
            &format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 0\r\n\r\n"),
            Error::Header,
        );
    }
}

#[test]
fn refuses_malformed_status_lines() {
    for line in [
        "HTTP/2.0 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 200OK",
        "ICY 200 OK",
        "",
        "hello",
        "HTTP/1.1",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 -20 OK",
    ] {
        refuses(
            &format!("{line}\r\nContent-Length: 0\r\n\r\n"),
            Error::StatusLine,
        );
    }
    refuses("HTTP/1.1 200 O\rK\r\n\r\n", Error::StatusLine);
}

#[test]
fn forwards_chunked_bodies_with_trailers() {
    forwards(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\ngrpc-status:0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 1\r\ngrpc-status:0\r\n\r\n",
    );
}

#[test]
fn forwards_early_hints_before_the_response() {
    forwards(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    forwards(
        "HTTP/1.1 200 OK\r\nX: 1\r\n\r\nto the end",
        "HTTP/1.1 200 OK\r\nX: 1\r\n\r\nto the end",
    );
}

#[test]
fn a_body_that_is_cut_short_is_an_error() {
    refuses(
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        Error::Truncated,
    );
    refuses(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Error::Truncated,
    );
    refuses("HTTP/1.1 200 OK\r\nContent-Le", Error::Truncated);
}

#[test]
fn answers_without_a_body_have_none_whatever_their_headers_say() {
    for (status, method) in [
        ("204 No Content", Method::Get),
        ("304 Not Modified", Method::Get),
        ("200 OK", Method::Head),
    ] {
        let sent = format!(
            "HTTP/1.1 {status}\r\nContent-Length: 15\r\n\r\nHTTP/1.1 200 OK\r\n\r\nsmuggled"
        );
        let received = format!("HTTP/1.1 {status}\r\nContent-Length: 15\r\n\r\n");
        assert_eq!(
            forward_response(sent.as_bytes(), &method, usize::MAX),
            Ok(received.into_bytes())
        );
    }
    let sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        forward_response(sent, &Method::Head, usize::MAX),
        Ok(sent.to_vec())
    );
    forwards(
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
}

#[test]
fn strips_hop_by_hop_headers() {
    forwards(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 0\r\n\r\n",
    );
}

#[test]
fn keeps_the_connection_as_version_options_and_framing_say() {
    let keeps =
        |sent: &str, method: Method| response(sent.as_bytes()).unwrap().0.keep_alive(&method);
    assert!(keeps(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Method::Get
    ));
    assert!(keeps("HTTP/1.1 204 No Content\r\n\r\n", Method::Get));
    assert!(keeps("HTTP/1.1 200 OK\r\n\r\n", Method::Head));
    assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n", Method::Get));
    assert!(!keeps(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        Method::Get
    ));
    assert!(!keeps(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        Method::Get
    ));
    assert!(keeps(
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        Method::Get
    ));
    assert!(!keeps(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        Method::Get
    ));
}

#[test]
fn a_switch_of_protocols_is_told_by_101_alone() {
    let (head, left) = response(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x00").unwrap();
    assert!(!head.is_interim());
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
    assert_eq!(&left[..], b"\x81\x00");
    let (head, _) =
        response(b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n").unwrap();
    assert_eq!(head.upgrade(), None);
}

#[test]
fn a_response_can_be_made_and_changed() {
    let mut head = ResponseHead::new(404, Framing::Length(0));
    head.headers.append("X-A", "1").unwrap();
    let mut out = bytes::BytesMut::new();
    head.write(Framing::Length(0), http1::Connection::Close, &mut out)
        .unwrap();
    assert_eq!(
        &out[..],
        b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    head.set_status(299);
    assert_eq!((head.status(), head.reason()), (299, &b"Unknown"[..]));
}
