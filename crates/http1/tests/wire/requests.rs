//! Requests: each row is what a client sends and what the upstream receives, or the error that the client is answered with.

use http1::{
    BufferPool, Connection, Error, Framing, Known, Limits, Method, RequestParser, Version,
    host_name, host_port,
};

use crate::support::{request, upstream_sees};

#[track_caller]
fn forwards(sent: &str, received: &str) {
    assert_eq!(
        upstream_sees(sent.as_bytes()).as_deref(),
        Ok(received),
        "for {sent:?}"
    );
}

#[track_caller]
fn refuses(sent: &str, error: Error, status: u16) {
    assert_eq!(upstream_sees(sent.as_bytes()), Err(error), "for {sent:?}");
    assert_eq!(error.status(), status);
}

#[test]
fn keeps_order_case_and_duplicates() {
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-A: 2\r\nCookie: a=1\r\nX-b:3\r\nCookie: b=2\r\nX_Under: 4\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nx-A: 2\r\nCookie: a=1\r\nX-b:3\r\nCookie: b=2\r\nX_Under: 4\r\n\r\n",
    );
}

#[test]
fn refuses_a_second_line_of_what_has_one_value() {
    for name in [
        "Authorization",
        "Expect",
        "Content-Range",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
    ] {
        let lower = name.to_ascii_lowercase();
        refuses(
            &format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: a\r\nX: 1\r\n{lower}: a\r\n\r\n"),
            Error::Repeated,
            400,
        );
    }
    let several =
        "GET / HTTP/1.1\r\nHost: h\r\nRange: a\r\nRange: b\r\nIf-Match: a\r\nIf-Range: a\r\n\r\n";
    forwards(several, several);
}

#[test]
fn refuses_a_length_beside_a_coding() {
    for (length, coding) in [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", "Transfer-Encoding: identity"),
    ] {
        let body = "0\r\n\r\n";
        refuses(
            &format!("POST / HTTP/1.1\r\nHost: h\r\n{length}\r\n{coding}\r\n\r\n{body}"),
            Error::TransferEncoding,
            400,
        );
        refuses(
            &format!("POST / HTTP/1.1\r\nHost: h\r\n{coding}\r\n{length}\r\n\r\n{body}"),
            Error::TransferEncoding,
            400,
        );
    }
}

#[test]
fn refuses_a_repeated_length_whether_or_not_both_agree() {
    for second in ["3", "4"] {
        let sent = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\ncontent-length: {second}\r\n\r\nabc"
        );
        refuses(&sent, Error::ContentLength, 400);
    }
}

#[test]
fn refuses_a_length_that_is_not_digits_alone() {
    for value in [
        "+3",
        "-3",
        "abc",
        "0x3",
        "",
        "3, 3",
        "3 3",
        "3.0",
        "\t3",
        "3\t",
        "99999999999999999999",
        "9223372036854775808",
        "３",
    ] {
        let sent = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {value}\r\n\r\nabc");
        refuses(&sent, Error::ContentLength, 400);
    }
    refuses(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length\r\n\r\nabc",
        Error::ContentLength,
        400,
    );
}

#[test]
fn forwards_bodies_with_a_length() {
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 003\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    );
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    );
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\n\r\n",
    );
}

#[test]
fn forwards_chunked_bodies_in_any_case_of_the_coding() {
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ChUnKeD\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
    );
}

#[test]
fn refuses_codings_other_than_chunked() {
    for value in [
        "xchunked",
        "chunked, identity",
        "gzip, chunked",
        "identity",
        "chunked, chunked",
        "",
        "\u{b}chunked",
        "\tchunked",
        "chunked;q=1",
        "chunked\t",
    ] {
        let sent =
            format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n");
        if value.contains('\u{b}') {
            refuses(&sent, Error::Header, 400);
        } else {
            refuses(&sent, Error::UnknownCoding, 501);
        }
    }
    refuses(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
        400,
    );
}

#[test]
fn refuses_a_coding_on_http_1_0() {
    refuses(
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Error::TransferEncoding,
        400,
    );
}

#[test]
fn accepts_bare_line_feeds_in_a_head_and_forwards_none() {
    forwards(
        "GET /x HTTP/1.1\nHost: h\nX-A: 1\nX-B:2 \n\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
    );
}

#[test]
fn skips_empty_lines_before_a_request_line() {
    forwards(
        "\r\n\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let mut input = bytes::BytesMut::from("\r\n".repeat(8 * 1024).as_bytes());
    let parsed = RequestParser::new(Limits::default()).parse(&mut input, &BufferPool::default());
    assert_eq!(parsed.err(), Some(Error::RequestLine));
}

#[test]
fn refuses_folded_lines_and_blanks_in_names() {
    for header in [
        "X-A: 1\r\n folded",
        "X-A: 1\r\n\tfolded",
        " X-A: 1",
        "X-A : 1",
        "X A: 1",
        "X-A\t: 1",
        ": 1",
        ":",
        "X\u{0}A: b",
        "X\u{1}A: b",
        "X-A",
        "X\rA: b",
    ] {
        let sent = format!("GET / HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
        if header == "X-A" {
            forwards(&sent, "GET / HTTP/1.1\r\nHost: h\r\nX-A: \r\n\r\n");
        } else {
            refuses(&sent, Error::Header, 400);
        }
    }
    refuses("GET / HTTP/1.1\r\nHost : h\r\n\r\n", Error::Header, 400);
    refuses("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Error::Header, 400);
}

#[test]
fn refuses_control_characters_in_values() {
    for value in [
        "a\u{0}b", "a\u{1}b", "a\rb", "\r", "a\u{7f}b", "a\u{b}b", "a\r\rb",
    ] {
        refuses(
            &format!("GET / HTTP/1.1\r\nHost: h\r\nX-A: {value}\r\n\r\n"),
            Error::Header,
            400,
        );
        refuses(
            &format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX-A: {value}\r\nX-B: {}\r\n\r\n",
                "b".repeat(99)
            ),
            Error::Header,
            400,
        );
    }
    refuses(
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\r\n\r\n",
        Error::Header,
        400,
    );
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: a\tb\r\n\r\n",
    );
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: café\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: café\r\n\r\n",
    );
}

#[test]
fn leaves_out_lines_whose_names_have_unusual_characters() {
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nX@A: 1\r\nX(b): 2\r\nXé: 3\r\n[Content-Length]: 4\r\nX!a: 5\r\nX~c$: 6\r\nX.d: 7\r\n_x-2: 8\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n_x-2: 8\r\n\r\n",
    );
}

#[test]
fn drops_blanks_around_values_only_where_they_would_matter() {
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nX-A:   1\r\nX-B: 2 \t\r\nX-C:3\r\nX-D: \r\nX-E:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-A:   1\r\nX-B: 2\r\nX-C:3\r\nX-D: \r\nX-E:\r\n\r\n",
    );
}

#[test]
fn wants_exactly_one_host() {
    refuses("GET / HTTP/1.1\r\nX: 1\r\n\r\n", Error::Host, 400);
    refuses(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Error::Host,
        400,
    );
    refuses(
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        Error::Host,
        400,
    );
    refuses("GET http://a/ HTTP/1.1\r\nX: 1\r\n\r\n", Error::Host, 400);
    refuses("GET / HTTP/1.2\r\nX: 1\r\n\r\n", Error::Host, 400);
    forwards(
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: service.test\r\n\r\n",
    );
    let (head, _) = request(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let written = head.write(
        b"/",
        Framing::None,
        Connection::Unsaid,
        &mut bytes::BytesMut::new(),
    );
    assert_eq!(written, Err(Error::Host));
}

#[test]
fn refuses_malformed_hosts() {
    for host in [
        "a b", "a.test/x", "a..test", "", ".", "a\tb", "user@a", "a,b", "a\\b", ":80",
    ] {
        refuses(
            &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Error::Host,
            400,
        );
    }
    for host in [
        "a.test:port",
        "[::1]:8000",
        "[::1",
        "A.test.",
        "a_b.test",
        "127.0.0.1:80",
        "café",
    ] {
        let message = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        forwards(&message, &message);
    }
}

#[test]
fn the_host_of_an_absolute_form_wins() {
    forwards(
        "GET http://a.test:81/x?y HTTP/1.1\r\nX: 1\r\nHost: b.test\r\n\r\n",
        "GET /x?y HTTP/1.1\r\nX: 1\r\nHost: a.test:81\r\n\r\n",
    );
    forwards(
        "GET http://a.test HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    forwards(
        "GET HTTPS://[::1]?q HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /?q HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    );
    for target in [
        "http://",
        "http:///x",
        "ftp://a/",
        "http://a b/",
        "http://u@a/",
        "http://a:x/",
        "http:/a",
        "//a",
        "http://a#f",
        "http://[::1/",
        "http://a..b/",
        "mailto:a",
        "http://a\\b/",
    ] {
        let sent = format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n");
        if target == "//a" {
            forwards(&sent, &sent);
        } else {
            refuses(&sent, Error::Target, 400);
        }
    }
}

#[test]
fn refuses_targets_that_are_no_paths() {
    for target in [
        "x",
        "?x=1",
        "*",
        "/a\u{0}b",
        "/a\u{1}b",
        "/a\u{7f}b",
        "/a%00b",
        "/bad%zz",
        "/bad%2",
        "/%",
        "/a b",
        "/a\tb",
        "",
        " /",
    ] {
        refuses(
            &format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"),
            Error::Target,
            400,
        );
    }
    refuses(
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        Error::Target,
        400,
    );
    refuses("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", Error::Target, 400);
}

#[test]
fn refuses_dot_segments_that_climb_above_the_root() {
    for target in [
        "/..",
        "/../../top/x",
        "/top/../../top/y",
        "/a/%2e%2e/..",
        "/a%2f..%2F../x",
        "/a//../..",
        "/./..",
        "/.%2E/",
    ] {
        refuses(
            &format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"),
            Error::Target,
            400,
        );
    }
    for target in [
        "/a/..",
        "/a/../b",
        "/...",
        "/a/%2e%2e/b",
        "/q?u=/../..",
        "/a#/../..",
        "/..a",
        "/a%2Fb/../..",
        "/x?%zz",
        "/%23/..",
    ] {
        assert!(
            request(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).is_ok(),
            "for {target:?}"
        );
    }
}

#[test]
fn keeps_the_target_as_it_came_but_for_a_fragment_behind_the_query() {
    let (head, _) =
        request(b"GET /p/../p//%7Ex/./y%2fz?q=1#f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(head.path(), b"/p/../p//%7Ex/./y%2fz");
    assert_eq!(head.query(), Some(&b"q=1"[..]));
    let (head, _) = request(b"GET /frag#part HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!((head.path(), head.query()), (&b"/frag#part"[..], None));
    let (head, _) = request(b"GET /? HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!((head.path(), head.query()), (&b"/"[..], Some(&b""[..])));
}

#[test]
fn takes_methods_of_upper_case_letters_dashes_and_underscores() {
    for method in ["M-SEARCH", "A_B", "GET", "PROPFIND", "-"] {
        let message = format!("{method} /x HTTP/1.1\r\nHost: h\r\n\r\n");
        forwards(&message, &message);
    }
    for method in ["get", "GET2", "GE<T", "G:T", "\u{1}GET", "G\tT", ""] {
        refuses(
            &format!("{method} /x HTTP/1.1\r\nHost: h\r\n\r\n"),
            Error::Method,
            400,
        );
    }
    refuses(
        "CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n",
        Error::MethodNotAllowed,
        405,
    );
    refuses(
        "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n",
        Error::MethodNotAllowed,
        405,
    );
}

#[test]
fn takes_every_version_1_and_no_other() {
    for (text, version) in [
        ("1.0", Version::Http10),
        ("1.1", Version::Http11),
        ("1.2", Version::Later),
        ("1.01", Version::Later),
    ] {
        let (head, _) =
            request(format!("GET /x HTTP/{text}\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(head.version(), version);
    }
    for text in ["HTTP/2.0", "HTTP/9.9", "HTTP/3.0", "HTTP/10.1"] {
        refuses(
            &format!("GET /x {text}\r\nHost: h\r\n\r\n"),
            Error::Version,
            505,
        );
    }
    for text in [
        "HTTP/1",
        "HTTP/x.y",
        "HTTP/01.1",
        "http/1.1",
        "FTP/1.1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.1.1",
        "HTTP/0.9",
        "HTTP/1.111",
        "",
        "HTTP/1.1 ",
    ] {
        refuses(
            &format!("GET /x {text}\r\nHost: h\r\n\r\n"),
            Error::RequestLine,
            400,
        );
    }
    refuses("GET /x\r\n", Error::Http09, 400);
    refuses("GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", Error::Target, 400);
}

#[test]
fn strips_what_connection_nominates_but_for_what_others_rely_on() {
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Drop, x-other\r\nX-DROP: 1\r\nX-Kept: 3\r\nX-Other: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Kept: 3\r\n\r\n",
    );
    forwards(
        "GET / HTTP/1.1\r\nConnection: Host, X-Forwarded-For,\r\nHost: h\r\nConnection: via, x-real-ip, Cookie\r\nX-Forwarded-For: 1\r\nVia: 1.1 a\r\nX-Real-IP: 2\r\nCookie: a\r\nCookie: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1\r\nVia: 1.1 a\r\nX-Real-IP: 2\r\n\r\n",
    );
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    );
}

#[test]
fn strips_hop_by_hop_headers() {
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy: http://evil\r\nUpgrade: foo/2\r\nExpect: x\r\nProxy-Authorization: a\r\nTE: gzip\r\nTrailer: X-Sum\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: a\r\nTrailer: X-Sum\r\n\r\n",
    );
    forwards(
        "GET / HTTP/1.1\r\nHost: h\r\nTE: gzip, Trailers\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n",
    );
}

#[test]
fn answers_expect_only_when_a_body_follows() {
    let expects = |sent: &str| request(sent.as_bytes()).unwrap().0.expects_continue();
    assert!(expects(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert!(expects(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    assert!(!expects(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(!expects(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert!(!expects(
        "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert!(!expects(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n"
    ));
    forwards(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
    );
}

#[test]
fn forwards_both_requests_of_a_pipelined_pair() {
    forwards(
        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
}

#[test]
fn forwards_nothing_behind_a_request_that_closes() {
    forwards(
        "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    forwards(
        "GET /1 HTTP/1.0\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
}

#[test]
fn keeps_the_connection_as_version_and_options_say() {
    let keeps = |sent: &str| request(sent.as_bytes()).unwrap().0.keep_alive();
    assert!(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.2\r\nHost: h\r\n\r\n"));
    assert!(!keeps(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n"
    ));
    assert!(!keeps(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"
    ));
    assert!(!keeps("GET / HTTP/1.0\r\nHost: h\r\n\r\n"));
    assert!(keeps(
        "GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n"
    ));
}

#[test]
fn upgrades_only_if_connection_says_so() {
    let upgrade = |sent: &str| {
        request(sent.as_bytes())
            .unwrap()
            .0
            .upgrade()
            .map(<[u8]>::to_vec)
    };
    let websocket = Some(b"websocket".to_vec());
    assert_eq!(
        upgrade(
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"
        ),
        websocket
    );
    assert_eq!(
        upgrade("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"),
        None
    );
    assert_eq!(
        upgrade("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: foo/2\r\nConnection: close\r\n\r\n"),
        None
    );
    assert_eq!(
        upgrade("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n"),
        None
    );
    assert_eq!(
        upgrade("GET / HTTP/1.0\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        None
    );
}

#[test]
fn limits_the_request_line() {
    let long = "a".repeat(8 * 1024 - "GET /?q= HTTP/1.1\r\n".len());
    let message = format!("GET /?q={long} HTTP/1.1\r\nHost: h\r\n\r\n");
    forwards(&message, &message);
    refuses(
        &format!("GET /?q={long}a HTTP/1.1\r\nHost: h\r\n\r\n"),
        Error::UriTooLong,
        414,
    );
    refuses(
        &format!("GET /{}", "a".repeat(8 * 1024)),
        Error::UriTooLong,
        414,
    );
}

#[test]
fn limits_a_header_line_and_all_of_them() {
    let value = "b".repeat(8 * 1024 - "X-A: \r\n".len());
    let message = format!("GET / HTTP/1.1\r\nHost: h\r\nX-A: {value}\r\n\r\n");
    forwards(&message, &message);
    refuses(
        &format!("GET / HTTP/1.1\r\nHost: h\r\nX-A: {value}b\r\n\r\n"),
        Error::HeadTooLarge,
        400,
    );
    refuses(
        &format!("GET / HTTP/1.1\r\nHost: h\r\nX-A: {value}bbb"),
        Error::HeadTooLarge,
        400,
    );
    let five_k = format!("X-A: {}\r\n", "b".repeat(5 * 1024));
    let message = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", five_k.repeat(4));
    forwards(&message, &message);
    refuses(
        &format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", five_k.repeat(7)),
        Error::HeadTooLarge,
        400,
    );
}

#[test]
fn limits_the_number_of_header_lines() {
    let message = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "X-A: 1\r\n".repeat(count - 1)
        )
    };
    forwards(&message(120), &message(120));
    forwards(&message(300), &message(300));
    forwards(&message(1000), &message(1000));
    refuses(&message(1001), Error::TooManyHeaders, 400);
}

#[test]
fn tells_what_was_read_of_a_head_that_is_refused() {
    let mut input = bytes::BytesMut::from(
        &b"GET / HTTP/1.1\r\nAccept: application/json\nHost: a b\r\n\r\n"[..],
    );
    let mut parser = RequestParser::new(Limits::default());
    assert_eq!(
        parser.parse(&mut input, &BufferPool::default()).err(),
        Some(Error::Host)
    );
    assert_eq!(
        parser.header(&input, Known::Accept),
        Some(&b"application/json"[..])
    );
    assert_eq!(parser.header(&input, Known::Cookie), None);
    assert_eq!(parser.method(), Some(&Method::Get));
}

#[test]
fn a_connection_is_idle_until_a_byte_of_a_request_came() {
    let pool = BufferPool::default();
    let mut parser = RequestParser::new(Limits::default());
    let mut input = bytes::BytesMut::from(&b"\r\n"[..]);
    assert!(parser.parse(&mut input, &pool).unwrap().is_none());
    assert!(parser.is_idle(&input));
    input.extend_from_slice(b"G");
    assert!(parser.parse(&mut input, &pool).unwrap().is_none());
    assert!(!parser.is_idle(&input));
}

#[test]
fn takes_hosts_apart() {
    for (authority, name, port) in [
        ("Client.Test:8080", "Client.Test", Some(8080)),
        ("a.test.", "a.test", None),
        ("a.test.:1", "a.test", Some(1)),
        ("[::1]:8000", "[::1]", Some(8000)),
        ("[::1", "[::1", None),
        ("a:port", "a", None),
        ("a:", "a", None),
        ("a:99999", "a", None),
    ] {
        assert_eq!(host_name(authority.as_bytes()), name.as_bytes());
        assert_eq!(host_port(authority.as_bytes()), port, "for {authority}");
    }
}

#[test]
fn framing_is_what_the_head_says() {
    let framing = |sent: &str| request(sent.as_bytes()).unwrap().0.framing();
    assert_eq!(framing("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Framing::None);
    assert_eq!(
        framing("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n"),
        Framing::Length(7)
    );
    assert_eq!(
        framing("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Framing::Chunked
    );
}
